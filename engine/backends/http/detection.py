"""Finds out what kind of server listens at an address, and which of its models is meant."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.backends.http.chat import ChatDialect
from engine.backends.http.client import Client
from engine.backends.http.dialect import Dialect, ServedModel
from engine.backends.http.llama_server import LlamaServerDialect
from engine.backends.http.vllm import VllmDialect
from engine.errors import ForeignServerError, PlanError, ServedModelError

UNKNOWN_WINDOW_TOKENS = 4096
"""Window that is assumed, and then proven, where neither server nor user names one: Ollama's own default."""

_MAX_LISTED = 12


def detect(client: Client, *, model: str | None, context_tokens: int | None) -> Dialect:
    """The dialect for a server, with the model chosen and the window known.

    Args:
        client: the connection.
        model: the server's id of a model; None = its only one.
        context_tokens: window to use; None = the server's own.

    Raises:
        engine.errors.ServerError: nobody listens, it is no such API, it has no such model, it refuses the key.
        TemplateError: the model has no usable chat template.
        PlanError: the window asked for is larger than the server's.
        PromptMismatchError: a server without tokenizer does not take prompts as long as its window.
    """
    listing = client.probe("/v1/models")
    cards = listing.get("data") if isinstance(listing, dict) else None
    if not isinstance(cards, list) or not all(isinstance(card, dict) and "id" in card for card in cards):
        raise ForeignServerError(
            f"What answers at {client.address} is no OpenAI-compatible API.",
            hint="The address must be that of the API, such as http://127.0.0.1:8000 for vLLM.",
        )
    card = _choose(cards, model, client)
    props = client.probe("/props")
    dialect: Dialect
    if isinstance(props, dict) and "default_generation_settings" in props:
        dialect = LlamaServerDialect(client, card, props)
    elif card.get("owned_by") == "vllm" and "max_model_len" in card:
        dialect = VllmDialect(client, card)
    else:
        chat = ChatDialect(client, _describe(client, card, context_tokens))
        chat.prove_window()
        return chat
    if context_tokens is not None:
        _check_window(context_tokens, dialect.model.context_tokens)
    return dialect


def _choose(cards: Sequence[Mapping[str, Any]], model: str | None, client: Client) -> Mapping[str, Any]:
    names = [str(card["id"]) for card in cards]
    listed = ", ".join(names[:_MAX_LISTED]) + (", ..." if len(names) > _MAX_LISTED else "")
    if not names:
        raise ServedModelError(
            f"The server at {client.address} has no model.",
            hint="Load or download one with the server's own tools.",
        )
    if model is None:
        if len(names) > 1:
            raise ServedModelError(
                f"The server at {client.address} has several models and none was chosen.",
                hint=f"It has: {listed}.",
            )
        return cards[0]
    for card, name in zip(cards, names, strict=True):
        # Ollama's `qwen3` is short for `qwen3:latest`; llama-server without an alias names the file's path.
        if model == name or f"{model}:latest" == name or name.replace("\\", "/").endswith(f"/{model}"):
            return card
    near = difflib.get_close_matches(model, names, 1)
    raise ServedModelError(
        f"The server at {client.address} has no model '{model}'.",
        hint=f"Did you mean {near[0]}?" if near else f"It has: {listed}.",
    )


def _check_window(wanted: int, offered: int) -> None:
    if wanted > offered:
        raise PlanError(
            f"A window of {wanted} tokens was asked for, but the server was started with one of {offered}.",
            hint="Start the server with a larger window, or ask for a smaller one.",
        )


def _describe(client: Client, card: Mapping[str, Any], context_tokens: int | None) -> ServedModel:
    """What can be learnt of a model from a server that has no tokenizer."""
    name = str(card["id"])
    model = ServedModel(
        name=name,
        server="openai",
        context_tokens=0,
        num_parallel=4,
        identity={"owned_by": str(card.get("owned_by"))},
    )
    offered: int | None = None
    if isinstance(client.probe("/api/version"), dict):
        digest = next((row.get("digest") for row in _rows(client.probe("/api/tags"), "models", name)), None)
        model = replace(model, server="ollama", num_parallel=1, identity={"digest": digest})
        ChatDialect(client, replace(model, context_tokens=1)).load()
        offered = _number(_rows(client.probe("/api/ps"), "models", name), "context_length")
    elif rows := _rows(client.probe("/api/v0/models"), "data", name):
        facts = {key: rows[0].get(key) for key in ("publisher", "arch", "quantization", "compatibility_type")}
        model = replace(model, server="lm-studio", num_parallel=1, identity=facts)
        ChatDialect(client, replace(model, context_tokens=1)).load()
        offered = _number(_rows(client.probe("/api/v0/models"), "data", name), "loaded_context_length")
    if offered is not None and context_tokens is not None:
        _check_window(context_tokens, offered)
    return replace(model, context_tokens=context_tokens or offered or UNKNOWN_WINDOW_TOKENS)


def _rows(listing: Any, key: str, name: str) -> list[Mapping[str, Any]]:
    """Entries of a listing that are about this model."""
    rows = listing.get(key) if isinstance(listing, dict) else None
    if not isinstance(rows, list):
        return []
    return [
        row
        for row in rows
        if isinstance(row, dict) and name in (row.get("id"), row.get("name"), row.get("model"))
    ]


def _number(rows: Sequence[Mapping[str, Any]], key: str) -> int | None:
    return next((row[key] for row in rows if isinstance(row.get(key), int) and row[key] > 0), None)
