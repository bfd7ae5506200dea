"""Opening a model: the backend for a file, and the prompt set that belongs to it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from engine.agent.prompts import BUILT_IN, STANDARD, PromptSet, load_prompt_set
from engine.backends.base import Backend
from engine.backends.wishes import Wishes
from engine.cancel import CancelToken
from engine.errors import ModelLoadError, ModelNotFoundError

SIDECAR_SUFFIX = ".prompts.json"
"""`model.gguf` brings its own wording in `model.prompts.json` beside it."""


_CHUNKS_A_COPY = 2
"""Chunks that a context is given at once, so that none waits for the other at every chunk."""


def open_model(
    path: Path,
    *,
    context_tokens: int | None = None,
    num_gpu_layers: int | None = None,
    wishes: Wishes | None = None,
) -> Backend:
    """Load a GGUF file with llama.cpp; arguments as in `engine.backends.llamacpp.LlamaCppBackend`.

    A small model is opened several times, see `engine.backends.automatic.choose_copies`.

    Raises:
        engine.errors.ModelError: the file cannot be loaded.
    """
    # Imported here, because the library behind it takes half a second that a listing of runs need not wait.
    from engine.backends.automatic import choose_copies
    from engine.backends.llamacpp import LlamaCppBackend
    from engine.backends.native import supports_gpu
    from engine.backends.pool import PoolBackend

    def load(wishes: Wishes) -> Backend:
        return LlamaCppBackend(
            path, context_tokens=context_tokens, num_gpu_layers=num_gpu_layers, wishes=wishes
        )

    wishes = wishes or Wishes()
    size = path.stat().st_size if path.is_file() else 0
    copies = choose_copies(size, wishes, uses_gpu=num_gpu_layers != 0 and supports_gpu())
    if copies == 1:
        return load(wishes)
    with ExitStack() as stack:
        alone = dataclasses.replace(wishes, num_threads=1)
        members = [stack.enter_context(closing(load(alone))) for _ in range(copies)]
        stack.pop_all()
    return PoolBackend(members, lookahead=_CHUNKS_A_COPY * copies)


def open_servers(
    addresses: Sequence[str], *, model: str | None = None, context_tokens: int | None = None
) -> Backend:
    """Open a model behind one server, or the same model behind several, which share the work.

    Args:
        addresses: at least one; see `engine.backends.http.opening.open_server`.
        model: the servers' id of the model; None = the only one that they have.
        context_tokens: window to use; None = the servers' own.

    Raises:
        engine.errors.ServerError: a server cannot be used.
        ModelLoadError: the servers have different models.
    """
    from engine.backends.http.opening import open_server
    from engine.backends.pool import PoolBackend

    members: list[Backend] = []
    try:
        for address in addresses:
            members.append(open_server(address, model=model, context_tokens=context_tokens))
    except BaseException:
        for member in members:
            member.close()
        raise
    return members[0] if len(members) == 1 else PoolBackend(members)


@contextmanager
def vllm_served(
    model: str | None,
    environment: Path,
    *,
    context_tokens: int | None = None,
    progress: Callable[[str], None] | None = None,
    cancel: CancelToken | None = None,
) -> Iterator[Backend]:
    """Serve a model with a vLLM of our own while the block runs; see `engine.backends.http.vllm_process.VllmServer`.

    Raises:
        ModelNotFoundError: no model is named; the bundled one is no folder that vLLM could load.
        engine.errors.PalimpsestError: see `VllmServer` and `open_servers`.
    """
    from engine.backends.http.opening import open_server
    from engine.backends.http.vllm_process import VllmServer

    if model is None:
        raise ModelNotFoundError(
            "vLLM needs a model of its own.",
            hint="Name its folder with --model; GGUF files are for llama.cpp.",
        )
    server = VllmServer(
        model, environment=environment, context_tokens=context_tokens, progress=progress, cancel=cancel
    )
    with server, closing(open_server(server.address, api_key=server.api_key)) as backend:
        yield backend


def prompts_for(backend: Backend, path: Path | None = None, wanted: str | None = None) -> PromptSet:
    """The wording for a model: its sidecar file, else the set that it names in its metadata, else the standard set.

    Args:
        backend: the model.
        path: its file; None = it is behind a server.
        wanted: name of a built-in set or path of a JSON file, which comes before all of these.

    Raises:
        engine.errors.PlanError: the sidecar, or what is wanted, cannot be used.
        ModelLoadError: the model names a set that this version does not know.
    """
    if wanted is not None:
        return BUILT_IN[wanted] if wanted in BUILT_IN else load_prompt_set(Path(wanted).expanduser())
    if path is not None:
        sidecar = path.with_name(path.stem + SIDECAR_SUFFIX)
        if sidecar.is_file():
            return load_prompt_set(sidecar)
    named = backend.info.prompt_set
    if named is None:
        return STANDARD
    if named not in BUILT_IN:
        raise ModelLoadError(
            f"The model {backend.info.name} wants the prompt set '{named}', which this version does not have.",
            hint="Update the program, or choose another model.",
        )
    return BUILT_IN[named]
