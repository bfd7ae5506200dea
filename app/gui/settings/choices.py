"""What the preferences say of a reading, as the worker wants it."""

import dataclasses
from pathlib import Path

from app.gui.settings.preferences import ModelKind, Preferences
from app.worker.protocol import Model, Options


def model_of(value: Preferences) -> Model:
    """The model that is read with."""
    if value.model_kind is ModelKind.SERVER:
        return Model(
            model=value.server_model or None,
            servers=(value.server_address,),
            prompts=value.prompts or None,
        )
    return Model(
        model=value.model_path if value.model_kind is ModelKind.FILE else None,
        num_threads=value.num_threads,
        num_gpu_layers=value.num_gpu_layers,
        prompts=value.prompts or None,
    )


def complete(options: Options, value: Preferences) -> Options:
    """Options of a reading; what its form leaves open is as the preferences say."""
    return dataclasses.replace(
        options,
        mode=options.mode or value.mode or None,
        chunk_tokens=options.chunk_tokens or value.chunk_tokens,
        memory_tokens=options.memory_tokens or value.memory_tokens,
    )


def model_name(value: Preferences) -> str:
    """Name of the model, for people; "" = the bundled one, or the only one that a server has."""
    if value.model_kind is ModelKind.FILE:
        return Path(value.model_path).stem
    return value.server_model if value.model_kind is ModelKind.SERVER else ""
