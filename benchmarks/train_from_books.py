"""A whole training run as a user does it, from books to an answer, with a run that is killed and goes on beside it.

    python -m benchmarks.train_from_books BOOK BOOK [--steps 6] [--work FOLDER]

Makes questions from the books (`palimpsest corpus build`), trains the bundled model by DAPO (`palimpsest train`),
and again in another folder, where SIGKILL ends the trainer in the update of a step, the one before it in no
checkpoint yet; the same command then goes on. Metrics and weights of both must be equal byte for byte. The policy of
the run that was killed is written as GGUF (`palimpsest train export`), and reads held-out texts and one of the books
(`palimpsest ask`). Prints one JSON object; exits 1 if anything differed or was not read.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from trainer.rl.rewards import outcome_reward

ROOT = Path(__file__).parents[1]
PALIMPSEST = [sys.executable, "-m", "palimpsest"]
RECIPE = ROOT / "resources" / "recipes" / "starter-dapo.toml"
CHECKPOINT_STEPS = 2
GROUPS = 4
GROUP_SIZE = 8
NUM_ASKED = 4
KINDS = "needle,cloze"
"""What a model that can only copy can answer; see docs/corpora.md."""
KILL_LIMIT_S = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is run.

    Attributes:
        books: documents that the questions are about, at least two.
        steps: of training, at least 4.
        questions: in all, a quarter of them held out.
        threads: of the trainer and of the reader.
        work: folder for everything that is written.
    """

    books: tuple[Path, ...]
    steps: int
    questions: int
    threads: int
    work: Path


@dataclass(slots=True)
class Clock:
    """Seconds of each part."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure what is done inside."""
        print(f"{name} ...", file=sys.stderr)
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)


def command(*arguments: str | Path) -> str:
    """Carry out a command of the program; returns what it prints."""
    done = subprocess.run(
        [*PALIMPSEST, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"palimpsest {arguments[0]} failed with exit code {done.returncode}")
    return done.stdout


def build_corpus(settings: Settings) -> Path:
    """Questions on the books; returns their folder."""
    books, sets = settings.work / "books", settings.work / "questions"
    books.mkdir()
    for book in settings.books:
        shutil.copy(book, books)
    command(
        *("corpus", "build", books, "--output", sets, "--number", str(settings.questions)),
        *("--kinds", KINDS, "--chunks", "2,4", "--heldout", "0.25", "--quiet"),
    )
    return sets


def training(settings: Settings, sets: Path, folder: Path) -> list[str]:
    """The command that trains in a folder, and goes on with what is there."""
    values = {
        "data.kind": "file",
        "data.file": sets / "train.jsonl",
        "run.evaluation_file": sets / "heldout.jsonl",
        "run.evaluation_tasks": settings.questions // 4,
        "run.evaluation_steps": settings.steps // 4 * 2,
        "run.steps": settings.steps,
        "run.checkpoint_steps": CHECKPOINT_STEPS,
        "run.threads": settings.threads,
        "rollout.groups": GROUPS,
        "rollout.group_size": GROUP_SIZE,
    }
    overrides = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    return ["train", "run", str(RECIPE), "--folder", str(folder), *overrides]


def kill_in_an_update(arguments: list[str], folder: Path, step: int) -> int:
    """Start a training and kill it once the rollouts of a step are on the disk; returns its lines of metrics."""
    drawn = folder / "rollouts" / f"{step:06d}.jsonl.gz"
    # A session of its own, so that whatever it started ends with it.
    process = subprocess.Popen(
        [*PALIMPSEST, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + KILL_LIMIT_S
    try:
        while not drawn.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the training did not reach step {step}")
            time.sleep(0.005)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode != -signal.SIGKILL:
        raise SystemExit(f"the training ended with {process.returncode} before it was killed")
    return len(lines_of(folder))


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """Metrics of a run."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]


def differences(one: Path, two: Path) -> list[str]:
    """Files of two runs that are not equal byte for byte."""
    names = ("metrics.jsonl", "policy/model.safetensors")
    return [name for name in names if (one / name).read_bytes() != (two / name).read_bytes()]


def ask(settings: Settings, model: Path, document: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Have the trained model read a document for a question."""
    found: dict[str, Any] = json.loads(
        command(
            *("ask", document, "-q", task["question"], "--model", model, "--threads", str(settings.threads)),
            *("--json", "--quiet", "--data-dir", settings.work / "data"),
        )
    )
    coverage = found["coverage"]
    return {
        "document": document.stem,
        "question": task["question"],
        "answer": found["answer"],
        "golds": task["golds"],
        "is_right": outcome_reward(found["answer"], task["golds"]) == 1.0,
        "chunks": coverage["chunks"],
        "is_all_read": coverage["chunks_read"] == coverage["chunks"] > 0 and coverage["is_proven"],
    }


def ask_held_out(settings: Settings, sets: Path, model: Path) -> list[dict[str, Any]]:
    """The first held-out questions in their own texts, and the first cloze in the whole of its book."""
    lines = map(json.loads, (sets / "heldout.jsonl").read_text("utf-8").splitlines())
    tasks = [task for task in lines if task["golds"]]
    answers = []
    for task in tasks[:NUM_ASKED]:
        text = settings.work / f"{task['id']}.txt"
        text.write_text(task["text"], "utf-8")
        answers.append(ask(settings, model, text, task))
    cloze = next(task for task in tasks if task["kind"] == "cloze")
    book = next(book for book in settings.books if book.name in cloze["document"])
    return [*answers, ask(settings, model, book, cloze)]


def learnt(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """What the metrics say, in short."""
    steps = [line for line in lines if "drawn" in line]
    held_out = [line["evaluation"] for line in lines if "evaluation" in line]
    return {
        "reward_by_step": [round(line["drawn"]["reward_mean"], 3) for line in steps],
        "readings_drawn": sum(line["drawn"]["groups"] for line in steps) * GROUP_SIZE,
        "held_out_accuracy": [round(each["reward_mean"], 3) for each in held_out],
        "held_out_questions": held_out[0]["questions"],
    }


def whole(settings: Settings) -> dict[str, Any]:
    """Do all of it; returns the report."""
    clock = Clock()
    began = time.monotonic()
    with clock.part("corpus"):
        sets = build_corpus(settings)
    alone, killed, model = settings.work / "alone", settings.work / "killed", settings.work / "trained.gguf"
    with clock.part("training"):
        command(*training(settings, sets, alone))
    # Odd, so that the step before it is in no checkpoint: that one, too, has to be done again.
    at = settings.steps // 2 | 1
    arguments = training(settings, sets, killed)
    with clock.part("training until it is killed"):
        seen = kill_in_an_update(arguments, killed, at)
    with clock.part("going on"):
        command(*arguments)
    with clock.part("export"):
        command("train", "export", killed, "--output", model)
    with clock.part("answers"):
        answers = ask_held_out(settings, sets, model)
    different = differences(alone, killed)
    return {
        "benchmark": "training from books",
        "environment": describe(),
        "books": [book.stem for book in settings.books],
        "questions": json.loads((sets / "report.json").read_text("utf-8"))["settings"],
        "steps": settings.steps,
        "threads": settings.threads,
        **learnt(lines_of(alone)),
        "killed_in_step": at,
        "lines_when_killed": seen,
        "different": different,
        "gguf_bytes": model.stat().st_size,
        "answers": answers,
        "seconds": {**clock.seconds, "all": round(time.monotonic() - began, 1)},
        "is_right": not different and all(answer["is_all_read"] for answer in answers),
    }


def main() -> None:
    """Run it in a folder of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("books", nargs="+", type=Path, metavar="BOOK")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--questions", type=int, default=120)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="an empty folder that is kept; default: a temporary one")
    options = parser.parse_args()
    if len(options.books) < 2 or options.steps < 4:
        parser.error("at least two books and four steps")
    books = tuple(book.resolve() for book in options.books)
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        report = whole(
            Settings(
                books=books,
                steps=options.steps,
                questions=options.questions,
                threads=options.threads,
                work=work,
            )
        )
    print(json.dumps(report, indent=2, ensure_ascii=False))
    sys.exit(not report["is_right"])


if __name__ == "__main__":
    main()
