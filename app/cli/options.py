"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.data import DataDir as DataDir
from engine.agent.config import Mode
from engine.front import ModelChoice


class KvChoice(StrEnum):
    """`engine.backends.wishes.KvType` as the command line wants it."""

    F16 = "f16"
    Q8_0 = "q8_0"


Json = Annotated[
    bool, typer.Option("--json", help="Print JSON on standard output.", rich_help_panel="General")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="No progress on standard error.", rich_help_panel="General")
]
RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="Id of a run, or the first letters of it; see `runs`.")
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Name or path of a GGUF model. Default: the bundled starter model.",
        rich_help_panel="Model",
    ),
]
RunModel = Annotated[
    str | None,
    typer.Option("--model", help="Where the run's model lies now, if it was moved.", rich_help_panel="Model"),
]
ContextTokens = Annotated[
    int | None,
    typer.Option(
        min=256, help="Window to open. Default: the model's, at most 8192.", rich_help_panel="Model"
    ),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Default: one a physical core.", rich_help_panel="Model")
]
GpuLayers = Annotated[
    int | None,
    typer.Option(min=0, help="Layers on the GPU. Default: as many as fit.", rich_help_panel="Model"),
]
Parallel = Annotated[
    int | None,
    typer.Option(
        "--parallel",
        min=1,
        max=64,
        help="Conversations computed side by side. Default: what suits model and memory.",
        rich_help_panel="Model",
    ),
]
KvCacheType = Annotated[
    KvChoice | None,
    typer.Option(
        "--kv-type",
        help="Precision of the attention cache. Default: f16 where the memory suffices.",
        rich_help_panel="Model",
    ),
]
Lookahead = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=64,
        help="Most chunks read at once on the guess that the memory stays; the result is the same. Default: what the "
        "model gains from.",
        rich_help_panel="Model",
    ),
]
Server = Annotated[
    list[str] | None,
    typer.Option(
        "--server",
        help="Address of a server that runs the model (vLLM, llama-server, Ollama, LM Studio). Several --server with "
        "one model share the work.",
        rich_help_panel="Model",
    ),
]
Prompts = Annotated[
    str | None,
    typer.Option(
        help="Wording to ask with: name of a built-in set, or a JSON file (docs/models.md). Default: the model's own.",
        rich_help_panel="Model",
    ),
]
Vllm = Annotated[
    Path | None,
    typer.Option(
        help="Environment that holds vLLM (its folder, its Python or the vllm program): serves the folder named with "
        "--model for the time of the reading.",
        rich_help_panel="Model",
    ),
]
ReadingMode = Annotated[
    Mode | None,
    typer.Option(
        "--mode",
        help="How chunks are read: faithful (rewrite the memory), gated (only if something is found), extractive "
        "(pick sentences), parallel (pick sentences from all chunks side by side, in rounds). Default: extractive "
        "where the model can.",
        rich_help_panel="Reading",
    ),
]
ChunkTokens = Annotated[
    int | None,
    typer.Option(min=16, help="Most tokens of a chunk. Default: the model's.", rich_help_panel="Reading"),
]
MemoryTokens = Annotated[
    int | None,
    typer.Option(min=16, help="Most tokens of the memory. Default: the model's.", rich_help_panel="Reading"),
]
OverlapTokens = Annotated[
    int,
    typer.Option(min=0, help="Tokens repeated from the chunk before.", rich_help_panel="Reading"),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the sampler.", rich_help_panel="Reading")]
Temperature = Annotated[
    float,
    typer.Option(min=0.0, max=5.0, help="0 = greedy: the same answer every time.", rich_help_panel="Reading"),
]
Password = Annotated[
    str | None,
    typer.Option(help="Password of an encrypted document.", rich_help_panel="Reading", show_default=False),
]


def model_choice(
    model: str | None,
    context_tokens: int | None,
    threads: int | None,
    gpu_layers: int | None,
    parallel: int | None,
    kv_type: KvChoice | None,
    lookahead: int | None,
    server: list[str] | None,
    vllm: Path | None = None,
    prompts: str | None = None,
) -> ModelChoice:
    """What the options of the panel "Model" say."""
    return ModelChoice(
        model=model,
        context_tokens=context_tokens,
        num_threads=threads,
        num_gpu_layers=gpu_layers,
        num_sequences=parallel,
        kv_type=None if kv_type is None else kv_type.value,
        lookahead=lookahead,
        servers=tuple(server or ()),
        vllm=vllm,
        prompts=prompts,
    )
