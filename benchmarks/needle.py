"""Measures how reliably a model finds one fact in a long document: one report on readings and on chunks.

Everything is measured with `engine.evaluation`, as `palimpsest eval needle-multikey` does; here all of it is put
into one report. Questions, facts and look-alikes come from lists that no training saw (`engine.evaluation.lists`),
the text from books that no training saw (`engine.evaluation.held_back`). Reported, each with its 95 % Wilson
interval:

- readings: documents of a given length with one needle and four look-alikes, the needle's depth spread evenly: is
  the true sentence in the memory at the end, is the answer exact?
- misses: chunks that hold the needle, read alone with an empty memory, in which it was not picked;
- false alarms: chunks without it in which something was picked, plain and with look-alikes apart;
- with ``--control``, the readings again with a second model, such as one of random weights.

Usage: python -m benchmarks.needle --books DIR --model FILE --output report.json
"""

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.agent.plan import default_config
from engine.agent.prompts import PromptSet
from engine.backends.base import Backend
from engine.backends.wishes import Wishes
from engine.cancel import CancelToken
from engine.evaluation.chunk_rates import NO_CHUNKS, ChunkCounts
from engine.evaluation.haystack import TokenCounter
from engine.evaluation.items import Item
from engine.evaluation.metrics import Proportion
from engine.evaluation.report import environment
from engine.evaluation.scoring import score
from engine.evaluation.sources import TextSource, text_source, texts_under
from engine.evaluation.systems import ChunksAlone, LoopSystem, Outcome, System, reader
from engine.evaluation.tasks.base import Materials
from engine.evaluation.tasks.needles import NeedleTask
from engine.models.opening import open_model, prompts_for

CHARACTERS_PER_TOKEN = 3.6
_MOST_FAILURES = 20


def held_back_paragraphs(folder: Path) -> list[list[str]]:
    """Paragraphs of every held-back book under a folder, book by book."""
    return [paragraphs for _, paragraphs in texts_under(folder, held_back_only=True)]


def outcomes_of(system: System, items: Sequence[Item]) -> list[Outcome]:
    """What came of each item, in order."""
    found: dict[int, Outcome] = {}
    system.answer(items, found.__setitem__, CancelToken())
    return [found[number] for number in range(len(items))]


def readings(system: LoopSystem, task: NeedleTask, num_tokens: int, count: int) -> dict[str, Any]:
    """Read whole documents and answer."""
    pairs: list[tuple[Item, Outcome]] = []
    for index in range(count):
        item = task.item(num_tokens, index)
        pairs += zip([item], outcomes_of(system, [item]), strict=True)
    scores = [score(one.answer, [gold.answers for gold in item.golds]) for item, one in pairs]
    in_memory = [all(one.in_memory) for _, one in pairs]
    return {
        "needle_in_memory": Proportion(count=sum(in_memory), total=count).as_dict(),
        "answer_exact": Proportion(count=round(sum(one.em for one in scores)), total=count).as_dict(),
        "answer_contained": Proportion(
            count=round(sum(one.contains for one in scores)), total=count
        ).as_dict(),
        "mean_chunks": sum(one.num_chunks for _, one in pairs) / max(1, count),
        "failures": _failures(
            pairs, [held and one.em == 1 for held, one in zip(in_memory, scores, strict=True)]
        ),
    }


def _failures(pairs: Sequence[tuple[Item, Outcome]], is_right: Sequence[bool]) -> list[dict[str, Any]]:
    """The first few that went wrong."""
    wrong = (pair for pair, right in zip(pairs, is_right, strict=True) if not right)
    return [
        {
            "question": item.question,
            "needle": [item.document.text[place.start : place.end] for place in item.evidence],
            "in_memory": all(one.in_memory),
            "answer": one.answer,
        }
        for item, one in itertools.islice(wrong, _MOST_FAILURES)
    ]


def chunks(system: ChunksAlone, items: Iterator[Item], kind: str, count: int) -> ChunkCounts:
    """Read chunks alone until there are so many of a kind (a field of `ChunkCounts`)."""
    counts = NO_CHUNKS
    while getattr(counts, kind) < count:
        (outcome,) = outcomes_of(system, [next(items)])
        counts += outcome.chunks
    return counts


def measure(options: argparse.Namespace, path: Path, text: TextSource, counter: TokenCounter | None) -> Any:
    """Measure one model; documents are as long in the tokens of the model that is measured, or of the counter's."""
    with closing(open_model(path, wishes=Wishes(num_threads=options.threads))) as backend:
        prompts = prompts_for(backend, path)
        materials = Materials(text=text, counter=counter or TokenCounter(backend.tokenize), seed=options.seed)
        task = NeedleTask(name="needle-multikey", materials=materials, look_alikes=4)
        config = default_config(backend, prompts)
        report: dict[str, Any] = {
            "model": backend.info.name,
            "fingerprint": backend.info.fingerprint,
            "chunk_tokens": config.chunk_tokens,
            "readings": readings(reader(backend, prompts, config), task, options.tokens, options.readings),
        }
        if counter is None:
            report |= _measure_chunks(options, backend, prompts, task)
    return report


def _measure_chunks(
    options: argparse.Namespace, backend: Backend, prompts: PromptSet, task: NeedleTask
) -> dict[str, Any]:
    config = default_config(backend, prompts)
    system = ChunksAlone(backend, prompts, config)
    size = config.chunk_tokens

    def items(name: str, num_tokens: int, look_alikes: int) -> Iterator[Item]:
        kind = replace(task, name=name, look_alikes=look_alikes)
        return (kind.item(num_tokens, index) for index in itertools.count())

    def alternating() -> Iterator[Item]:
        """Chunks with the needle and none, one or two look-alikes."""
        return itertools.chain.from_iterable(
            zip(*(items(f"misses-{number}", size, number) for number in range(3)), strict=True)
        )

    held = chunks(system, alternating(), "evidence", options.evidence_chunks)
    plain = chunks(system, items("plain", 25 * size, 0), "plain", options.plain_chunks)
    alike = chunks(system, items("look-alikes", 5 * size, 4), "look_alikes", options.look_alike_chunks)
    return {
        "misses": {"missed": held.miss.as_dict()},
        "false_alarms_plain": {"false_alarms": plain.alarm_plain.as_dict()},
        "false_alarms_look_alikes": {"false_alarms": alike.alarm_look_alike.as_dict()},
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--books", type=Path, required=True, help="folder with the held-back books")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--control", type=Path, help="model for comparison, such as one of random weights")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=8_000, help="length of a document")
    parser.add_argument("--readings", type=int, default=100)
    parser.add_argument("--evidence-chunks", type=int, default=500)
    parser.add_argument("--plain-chunks", type=int, default=5_000)
    parser.add_argument("--look-alike-chunks", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    text = text_source(options.books, held_back_only=True)
    report: dict[str, Any] = {
        "benchmark": "needle",
        "arguments": {key: str(value) for key, value in vars(options).items() if not isinstance(value, Path)},
        "environment": environment(),
        "result": measure(options, options.model, text, None),
    }
    if options.control:
        with closing(open_model(options.model, wishes=Wishes(num_threads=options.threads))) as measured:
            # The same documents: lengths go by the tokenizer of the model that is measured.
            report["control"] = measure(options, options.control, text, TokenCounter(measured.tokenize))
    options.output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(report["result"], indent=1)[:4_000])


if __name__ == "__main__":
    main()
