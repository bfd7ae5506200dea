"""Compose the starter model's training: corpus, tokenizer, tasks, loop, export."""

from __future__ import annotations

import json
import logging
import random
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from engine.evaluation.facts import FactGenerator
from trainer import corpus as corpora
from trainer.alike import Alike
from trainer.batching import RoundMaker
from trainer.examples import Renderer
from trainer.gguf.parity import Parity
from trainer.gguf_export import ExportInfo, export
from trainer.lists import TRAINING_LISTS, with_corpus_words
from trainer.model import Shape, StarterModel
from trainer.rl.errors import RunError
from trainer.rl.starter_file import StarterFile
from trainer.stages import LEVELS, Progress
from trainer.tasks import Mix, TaskMaker
from trainer.text import TextSource
from trainer.tokens import Codec, train_tokenizer
from trainer.training import Settings, Training, checkpoint_state, save_atomically

logger = logging.getLogger(__name__)

NUM_VOCABULARY_PARAGRAPHS = 25_000


def prepare(corpus: Path, work: Path) -> Codec:
    """Prepare text and tokenizer in the work folder, or load what is there."""
    prepared = corpora.prepare(corpus, work)
    path = work / "tokenizer.json"
    if not path.exists():
        rng = random.Random(0)
        books = corpora.load_paragraphs(prepared, "book-")
        rng.shuffle(books)
        other = corpora.load_paragraphs(prepared, "passages-")
        other += corpora.load_paragraphs(prepared, "reports-")
        texts = [f" {s}" for p in books[:NUM_VOCABULARY_PARAGRAPHS] + other for s in p]
        texts += [f" {q.question}" for q in corpora.load_questions(prepared)]
        # A partial file must never be taken for a tokenizer.
        partial = path.with_suffix(".partial")
        train_tokenizer(texts).save(str(partial))
        partial.replace(path)
    return Codec.load(path)


class DataSource:
    """Everything that rounds are drawn from, loaded once."""

    def __init__(self, work: Path, codec: Codec, mix: Mix | None = None) -> None:
        """Load the prepared corpus of a work folder."""
        prepared = work / "corpus"
        self.codec = codec
        self.mix = mix
        self.groups = [
            (weight, corpora.load_paragraphs(prepared, prefix))
            for weight, prefix in ((0.7, "book-"), (0.25, "passages-"), (0.05, "reports-"))
        ]
        self.questions = corpora.load_questions(prepared)
        self.alike = Alike(self.questions)
        words_path = prepared / "words.json"
        words = json.loads(words_path.read_text(encoding="utf-8")) if words_path.exists() else {}
        self.lists = with_corpus_words(TRAINING_LISTS, words)

    def rounds(self, rng: random.Random) -> RoundMaker:
        """Build the maker of rounds on one random source."""
        text = TextSource(self.groups, rng)
        facts = FactGenerator(self.lists, rng)
        tasks = TaskMaker(facts, text, self.questions, self.alike, rng, self.mix)
        return RoundMaker(tasks, text, Renderer(self.codec, rng), rng)


def _load_state(work: Path) -> dict[str, Any]:
    """What a work folder's last checkpoint holds."""
    checkpoint = work / "run" / "checkpoint.pt"
    if not checkpoint.exists():
        raise RunError(f"{work} holds no run of the starter model.", hint="Name its work folder.")
    state: dict[str, Any] = torch.load(checkpoint, weights_only=False)
    return state


def load_checkpoint(work: Path) -> tuple[StarterModel, Codec]:
    """Load the network of a work folder's last checkpoint, and its tokenizer.

    Raises:
        RunError: the folder holds no checkpoint.
    """
    state = _load_state(work)
    codec = Codec.load(work / "tokenizer.json")
    model = StarterModel(Shape(**state["shape"]))
    model.load_state_dict(state["model"])
    return model.eval(), codec


def export_checkpoint(
    work: Path, output: Path, info: ExportInfo, *, average: Sequence[Path] = (), num_prompts: int = 24
) -> Parity:
    """Write the last checkpoint as GGUF; see `trainer.gguf_export.export`.

    Args:
        work: work folder of the run.
        output: file to write or replace.
        info: what the file says of the model.
        average: other stages of the same model, as work folders or GGUF files, with which its weights are averaged.
        num_prompts: readings on which the file is compared.

    Raises:
        RunError: a stage to average with has another shape or tokenizer.
        ModelError: a file to average with is not the starter model with unquantised weights.
    """
    model, codec = load_checkpoint(work)
    if average:
        _average(model, codec, average)
    maker = DataSource(work, codec).rounds(random.Random(1))
    examples = [maker.tasks.read(1 + index % 14) for index in range(num_prompts)]
    prompts = [maker.renderer.render(example).ids for example in examples]
    return export(model, codec, output, info, prompts)


def _average(model: StarterModel, codec: Codec, others: Sequence[Path]) -> None:
    """Give a model the mean of its weights and of other stages' that it came from ("model soups", arXiv 2203.05482).

    What one stage has unlearnt for another often comes back, and nothing of the other is lost (docs/log.md).
    """
    states = [model.state_dict()]
    for path in others:
        other, tokenizer = _read_stage(path)
        if other.shape != model.shape or tokenizer.get_vocab() != codec.tokenizer.get_vocab():
            raise RunError(
                f"{path} is not a stage of this model.",
                hint="Runs with the same shape and tokenizer can be averaged.",
            )
        states.append(other.state_dict())
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    model.load_state_dict(mean)


def _read_stage(path: Path) -> tuple[StarterModel, Tokenizer]:
    """Network and tokenizer of a work folder's last checkpoint or of a GGUF file."""
    if path.is_dir():
        model, codec = load_checkpoint(path)
        return model, codec.tokenizer
    file = StarterFile(path)
    model = StarterModel(Shape.of(file.config()))
    file.load_tensors(model)
    return model, file.tokenizer()


def take_over(finished: Path, work: Path, settings: Settings, step: int) -> None:
    """Begin a work folder with what a model has learnt, as if that had come to `step` of its course.

    The learning rate is that of the step, so that a finished model learns on. A work folder that holds a checkpoint is
    left as it is: the same command continues it.

    Args:
        finished: work folder of the other run; or the model as a GGUF file, whose optimizers and averages begin anew.
        work: work folder to begin.
        settings: of the run to begin.
        step: optimizer steps that count as done.

    Raises:
        RunError: the other folder holds no checkpoint.
        ModelError: the file is not the starter model with unquantised weights.
    """
    ours = work / "run" / "checkpoint.pt"
    if ours.exists():
        return
    state = _load_state(finished) if finished.is_dir() else None
    ours.parent.mkdir(parents=True, exist_ok=True)
    if state is not None:
        shutil.copyfile(finished / "tokenizer.json", work / "tokenizer.json")
    else:
        state = _state_of_file(finished, settings, work / "tokenizer.json")
    state["progress"].update(step=step, level_step=step)
    save_atomically(state, ours)


def _state_of_file(finished: Path, settings: Settings, tokenizer: Path) -> dict[str, Any]:
    """What a checkpoint holds, from a GGUF file; its tokenizer is written."""
    model, read = _read_stage(finished)
    read.save(str(tokenizer))
    return checkpoint_state(
        model,
        settings.optimizers(model),
        random.Random(settings.seed),
        Progress(level=len(LEVELS) - 1),
    )


def train(
    corpus: Path, work: Path, settings: Settings, *, minutes: float, mix: Mix | None = None
) -> Training:
    """Prepare and train; continues what the work folder holds."""
    codec = prepare(corpus, work)
    source = DataSource(work, codec, mix)
    training = Training(settings, work / "run", codec, source.rounds)

    def stop(*_: object) -> None:
        logger.info("stopping after this round")
        training.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    training.run(minutes=minutes)
    return training
