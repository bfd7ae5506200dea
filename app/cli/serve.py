"""The command that serves the local API."""

import asyncio
import json
import os
import sys
from typing import Annotated

import typer

from app.cli import options
from app.cli.reading import cancel_on_interrupt
from engine.errors import PlanError
from engine.paths import data_dir

DEFAULT_PORT = 8642
TOKEN_VARIABLE = "PALIMPSEST_TOKEN"


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = DEFAULT_PORT,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Another than loopback opens it to the network.")
    ] = "127.0.0.1",
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Let every program of this machine in. Only on loopback.")
    ] = False,
    max_upload_mb: Annotated[int, typer.Option(min=1, help="Largest document that may be uploaded.")] = 256,
    openapi: Annotated[
        bool,
        typer.Option("--openapi", help="Print the OpenAPI document and exit.", rich_help_panel="General"),
    ] = False,
    model: options.Model = None,
    context_tokens: options.ContextTokens = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    parallel: options.Parallel = None,
    kv_type: options.KvCacheType = None,
    lookahead: options.Lookahead = None,
    server: options.Server = None,
    vllm: options.Vllm = None,
    prompts: options.Prompts = None,
    data: options.DataDir = None,
) -> None:
    """Serve the local API: documents, questions, runs, with streamed events. See docs/api.md.

    The token that clients need is made anew at every start and printed on standard error; PALIMPSEST_TOKEN sets it.
    """
    # Imported here: the web framework takes longer to load than most commands take to run.
    from app.server import serving
    from app.server.application import create_app
    from app.server.guard import HostRule
    from app.server.service import Settings

    settings = Settings(
        folder=data_dir(data),
        choice=options.model_choice(
            model, context_tokens, threads, gpu_layers, parallel, kv_type, lookahead, server, vllm, prompts
        ),
        token=None if no_token else os.environ.get(TOKEN_VARIABLE) or serving.new_token(),
        max_upload_bytes=max_upload_mb << 20,
    )
    if openapi:
        document = create_app(settings, HostRule(is_loopback=True)).openapi()
        print(json.dumps(document, ensure_ascii=False, indent=2))
        return
    address = serving.bind(host, port)
    if no_token and not address.is_loopback:
        address.listener.close()
        raise PlanError(
            f"A server on {host} can be reached from the network and needs a token.",
            hint="Leave out --no-token.",
        )
    application = create_app(settings, address.hosts)

    async def stop() -> None:
        await asyncio.to_thread(application.state.service.queue.close)

    # uvicorn raises the signals that ended it once more; a server that was asked to stop has done its work.
    with cancel_on_interrupt():
        _announce(address.url, settings.token, is_loopback=address.is_loopback)
        serving.serve(application, address, stop)


def _announce(url: str, token: str | None, *, is_loopback: bool) -> None:
    """Say where the server is and how to talk to it, on standard error."""
    _say(f"Palimpsest answers at {url}; Ctrl-C stops it, and what is being read can be resumed.")
    if not is_loopback:
        _say("Warning: other machines can reach this server, and what is sent to it is not encrypted.")
    if token is None:
        _say("Warning: every program of this machine may use it.")
        _say(f"Try: curl {url}/v1/health")
        return
    if os.environ.get(TOKEN_VARIABLE):  # not repeated: it may be shared, and this may be a log
        token = f"${TOKEN_VARIABLE}"
    else:
        _say(f"Token: {token}")
    _say(f'Try: curl -H "Authorization: Bearer {token}" {url}/v1/health')


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
