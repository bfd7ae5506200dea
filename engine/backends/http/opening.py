"""Opening a server by its address."""

import os

from engine.backends.http.address import parse_address
from engine.backends.http.backend import ServerBackend
from engine.backends.http.client import DEFAULT_TIMEOUT_S, Client
from engine.backends.http.detection import detect

API_KEY_VARIABLE = "PALIMPSEST_API_KEY"
"""Environment variable that holds the key of a server which wants one."""


def open_server(
    address: str,
    *,
    model: str | None = None,
    context_tokens: int | None = None,
    num_parallel: int | None = None,
    lookahead: int | None = None,
    api_key: str | None = None,
    prompt_set: str | None = None,
    chunk_tokens: int | None = None,
    memory_tokens: int | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> ServerBackend:
    """Open a model behind a server that is running.

    Args:
        address: such as ``http://127.0.0.1:8000`` or ``localhost:11434``; any other machine is talked to only
            because it is named here.
        model: the server's id of the model; None = the only one it has.
        context_tokens: window to use; None = the server's own.
        num_parallel: most requests at once; None = what suits the server.
        lookahead: chunks that are worth reading at once on a guess; None = 8 for vLLM, else 1.
        api_key: None = the environment variable PALIMPSEST_API_KEY, if it is set.
        prompt_set: name of the prompt set that the model was made for; servers do not tell.
        chunk_tokens: chunk size that the model was made for.
        memory_tokens: memory size that the model was made for.
        timeout_s: longest silence of the server, in seconds.

    Raises:
        engine.errors.ServerError: nobody listens, it is no such API, it has no such model, it refuses the key.
        engine.errors.TemplateError: the model has no usable chat template.
        engine.errors.PlanError: the window asked for is larger than the server's.
        engine.errors.GenerationError: the server failed, or does not take prompts as long as its window.
    """
    key = api_key or os.environ.get(API_KEY_VARIABLE) or None
    client = Client(parse_address(address), api_key=key, timeout_s=timeout_s)
    try:
        dialect = detect(client, model=model, context_tokens=context_tokens)
        return ServerBackend(
            client,
            dialect,
            context_tokens=context_tokens,
            num_parallel=num_parallel,
            lookahead=lookahead,
            prompt_set=prompt_set,
            chunk_tokens=chunk_tokens,
            memory_tokens=memory_tokens,
        )
    except BaseException:
        client.close()
        raise
