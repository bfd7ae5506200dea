"""Opening a model: the backend for a file, and the prompt set that belongs to it."""

from pathlib import Path

from engine.agent.prompts import BUILT_IN, STANDARD, PromptSet, load_prompt_set
from engine.backends.base import Backend
from engine.errors import ModelLoadError

SIDECAR_SUFFIX = ".prompts.json"
"""`model.gguf` brings its own wording in `model.prompts.json` beside it."""


def open_model(
    path: Path,
    *,
    context_tokens: int | None = None,
    num_threads: int | None = None,
    num_gpu_layers: int | None = None,
) -> Backend:
    """Load a GGUF file with llama.cpp.

    Raises:
        engine.errors.ModelError: the file cannot be loaded.
    """
    # Imported here, because the library behind it takes half a second that a listing of runs need not wait.
    from engine.backends.llamacpp import LlamaCppBackend

    return LlamaCppBackend(
        path, context_tokens=context_tokens, num_threads=num_threads, num_gpu_layers=num_gpu_layers
    )


def prompts_for(path: Path, backend: Backend) -> PromptSet:
    """The wording for a model: its sidecar file, else the set that it names in its metadata, else the standard set.

    Raises:
        engine.errors.PlanError: the sidecar cannot be used.
        ModelLoadError: the model names a set that this version does not know.
    """
    sidecar = path.with_name(path.stem + SIDECAR_SUFFIX)
    if sidecar.is_file():
        return load_prompt_set(sidecar)
    named = backend.info.prompt_set
    if named is None:
        return STANDARD
    if named not in BUILT_IN:
        raise ModelLoadError(
            f"The model {path.name} wants the prompt set '{named}', which this version does not have.",
            hint="Update the program, or choose another model.",
        )
    return BUILT_IN[named]
