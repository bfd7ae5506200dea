"""The command that measures: bench."""

import json
from dataclasses import asdict

import psutil
from rich.console import Console
from rich.table import Table

from app.cli import options
from app.cli.console import seconds_for_people
from app.cli.reading import cancel_on_interrupt
from engine.front import ReadingOptions
from engine.paths import data_dir
from engine.session import Measurement, Session

_LENGTHS = (100_000, 1_000_000)


def bench(
    mode: options.ReadingMode = None,
    model: options.Model = None,
    chunk_tokens: options.ChunkTokens = None,
    memory_tokens: options.MemoryTokens = None,
    context_tokens: options.ContextTokens = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    parallel: options.Parallel = None,
    kv_type: options.KvCacheType = None,
    server: options.Server = None,
    vllm: options.Vllm = None,
    prompts: options.Prompts = None,
    as_json: options.Json = False,
    data: options.DataDir = None,
) -> None:
    """Measure how fast a model reads on this machine, and show the settings that suit it."""
    choice = options.model_choice(
        model, context_tokens, threads, gpu_layers, parallel, kv_type, None, server, vllm, prompts
    )
    settings = ReadingOptions(mode=mode, chunk_tokens=chunk_tokens, memory_tokens=memory_tokens)
    with cancel_on_interrupt() as token:
        measured = Session(data_dir(data), choice=choice, cancel=token).measure(options=settings)
    machine = {
        "physical_cores": psutil.cpu_count(logical=False),
        "memory_bytes": psutil.virtual_memory().total,
        "memory_free_bytes": psutil.virtual_memory().available,
    }
    if as_json:
        print(json.dumps(_to_dict(measured, machine), ensure_ascii=False))
    else:
        _print(measured, machine)


def _to_dict(measured: Measurement, machine: dict[str, int | None]) -> dict[str, object]:
    model, config, rates = measured.model, measured.config, measured.rates
    return {
        "machine": machine,
        "model": {
            "name": model.name,
            "backend": model.backend,
            "context_tokens": model.context_tokens,
            "lookahead": model.lookahead,
            "runtime": {name.replace(" ", "_"): value for name, value in model.runtime},
        },
        "plan": {
            "mode": config.mode.value,
            "chunk_tokens": config.chunk_tokens,
            "memory_tokens": config.memory_tokens,
            "answer_tokens": config.answer_tokens,
        },
        "rates": {name: round(value, 4) for name, value in asdict(rates).items()},
        "seconds": {str(length): round(rates.seconds_for(length), 1) for length in _LENGTHS},
    }


def _print(measured: Measurement, machine: dict[str, int | None]) -> None:
    model, config, rates = measured.model, measured.config, measured.rates
    free, total = (machine[name] or 0 for name in ("memory_free_bytes", "memory_bytes"))
    rows = [
        (
            "machine",
            f"{machine['physical_cores']} cores, {free / 1e9:.1f} of {total / 1e9:.1f} GB memory free",
        ),
        ("model", f"{model.name} ({model.backend}), window of {model.context_tokens:,} tokens"),
        ("runtime", ", ".join(f"{name}: {value}" for name, value in model.runtime) or "the server's own"),
        (
            "plan",
            f"{config.mode}, chunks of {config.chunk_tokens:,} tokens, memory of {config.memory_tokens:,}, "
            f"{model.lookahead} chunk{'s' if model.lookahead > 1 else ''} at once",
        ),
        ("prompt", f"{rates.prefill_tokens_per_s:,.0f} tokens/s"),
        ("reply", f"{rates.decode_tokens_per_s:,.0f} tokens/s"),
        (
            f"{rates.side_by_side} replies",
            f"{rates.side_by_side_tokens_per_s:,.0f} tokens/s together",
        ),
        (
            "a chunk",
            f"{rates.chunk_s * 1000:,.0f} ms for {rates.chunk_tokens:,} tokens with nothing relevant",
        ),
        *(
            (f"{length:,} tokens", f"about {seconds_for_people(rates.seconds_for(length))}")
            for length in _LENGTHS
        ),
    ]
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(name, value)
    Console(highlight=False).print(table)
