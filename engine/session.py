"""Readings from start to end: the one place where documents, model, trace store and reading loop are put together.

Command line and window call the same functions; what differs is the observers that they bring.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.agent.config import Mode, ReadingConfig
from engine.agent.coverage import Certificate
from engine.agent.loop import Start
from engine.agent.memory import Memory
from engine.agent.plan import Base, ReadingPlan, default_config, make_plan, make_plans
from engine.agent.probe import probe
from engine.agent.prompts import PromptSet
from engine.agent.reader import Observer, Reading, run_readings
from engine.agent.result import Result, certificate_to_dict
from engine.agent.rounds import round_start
from engine.backends.base import Backend, ModelInfo, Sampling
from engine.backends.wishes import Wishes
from engine.cancel import Cancelled, CancelToken
from engine.documents.model import Document
from engine.documents.reader import open_document
from engine.errors import (
    GenerationError,
    PalimpsestError,
    PlanError,
    ResumeRefusedError,
    RunOwnedError,
)
from engine.front import Front, ModelChoice, Proposal, Prospect, ReadingOptions
from engine.models.catalogue import find_model
from engine.models.opening import open_model, open_servers, prompts_for, vllm_served
from engine.paths import trace_database
from engine.rates import Rates, measure_rates
from engine.results import load_result, make_certificate
from engine.traces.creation import Parent
from engine.traces.rows import DocumentRow, RunRow
from engine.traces.store import TraceStore
from engine.traces.writer import RunWriter

DocumentRef = Path | str
"""A file, or the content hash of a stored document, whose file need not be there any more."""

_SERVED = "served: "
"""Stands before addresses or a folder where a trace says where a run's model is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """How fast a model reads.

    Attributes:
        model: the model, with the settings that it was opened with.
        config: the settings of a reading.
        rates: what was measured.
    """

    model: ModelInfo
    config: ReadingConfig
    rates: Rates


class Session:
    """A data folder, opened: asks, resumes, continues and branches readings in it.

    Args:
        folder: the data folder; made if it is missing.
        choice: the model.
        front: the user interface.
        cancel: stops whatever is going on.
        opener: loads a model file.
        reads_stored: whether a stored document is read as it was imported when its file has changed since, with a
            warning; else that is refused.
    """

    def __init__(
        self,
        folder: Path,
        *,
        choice: ModelChoice | None = None,
        front: Front | None = None,
        cancel: CancelToken | None = None,
        opener: Callable[..., Backend] = open_model,
        reads_stored: bool = False,
    ) -> None:
        self._reads_stored = reads_stored
        self._opener = opener
        self._folder = folder
        self._choice = choice or ModelChoice()
        self._front = front or Front()
        self._cancel = cancel or CancelToken()

    def ask(
        self,
        files: Sequence[DocumentRef],
        question: str,
        *,
        options: ReadingOptions | None = None,
        password: str | None = None,
        estimate: bool = True,
    ) -> Result:
        """Read documents and answer a question.

        Raises:
            engine.cancel.Cancelled: after the token was cancelled.
            engine.errors.PalimpsestError: whatever went wrong.
        """
        return _only(self.ask_all(files, [question], options=options, password=password, estimate=estimate))

    def ask_all(
        self,
        files: Sequence[DocumentRef],
        questions: Sequence[str],
        *,
        options: ReadingOptions | None = None,
        password: str | None = None,
        estimate: bool = True,
    ) -> list[Result | GenerationError]:
        """Read documents once and answer several questions; each has a run, a memory and a trace of its own.

        Args:
            files: what is read, in order.
            questions: at least one; one that is asked twice is read for once.
            options: how.
            password: of the files.
            estimate: whether to measure first how long it will take.

        Returns:
            for each question its result, or that the model gave no usable answer.

        Raises:
            engine.cancel.Cancelled: after the token was cancelled.
            engine.errors.PalimpsestError: whatever went wrong.
        """
        options = options or ReadingOptions()
        if not files:
            raise PlanError("No document was given.", hint="Name one or more files.")
        questions = list(dict.fromkeys(questions))
        if not questions:
            raise PlanError("No question was asked.", hint="Give one with -q.")
        opened = {ref: open_document(ref, password=password) for ref in files if isinstance(ref, Path)}
        with ExitStack() as stack:
            store = stack.enter_context(self._store())
            kept = [ref for ref in files if isinstance(ref, str)]
            documents = [opened[ref] if isinstance(ref, Path) else _loaded(store, ref) for ref in files]
            backend, prompts, place = stack.enter_context(self._model(self._choice.model, options.mode))
            config = _config(backend, prompts, options)
            plans = make_plans(
                documents, questions, config=config, prompts=prompts, backend=backend, is_joint=options.joint
            )
            expected = probe(plans, backend, cancel=self._cancel) if estimate else None

            def new_run(plan: ReadingPlan) -> RunWriter:
                return store.create_run(
                    plan.spec, documents, plan.chunks, model=backend.info, model_path=place, kept=kept
                )

            return self._conduct(
                store, backend, Proposal(plans=tuple(plans), model=backend.info, estimate=expected), new_run
            )

    def measure(self, *, options: ReadingOptions | None = None) -> "Measurement":
        """How fast the model reads on this machine, with what settings.

        Raises:
            engine.cancel.Cancelled: after the token was cancelled.
            engine.errors.PalimpsestError: the model cannot be opened or failed, or the settings do not fit it.
        """
        options = options or ReadingOptions()
        with self._model(self._choice.model, options.mode) as (backend, prompts, _):
            config = _config(backend, prompts, options)
            rates = measure_rates(backend, prompts, config, cancel=self._cancel)
            return Measurement(model=backend.info, config=config, rates=rates)

    @contextmanager
    def opened(self, mode: Mode | None = None) -> Iterator[tuple[Backend, PromptSet]]:
        """The chosen model with its wording, for whoever asks it directly, such as an evaluation.

        Args:
            mode: that it is to be set up for; None = the default.

        Raises:
            engine.errors.PalimpsestError: it cannot be opened.
        """
        with self._model(self._choice.model, mode) as (backend, prompts, _):
            yield backend, prompts

    def resume(self, run_id: str, *, password: str | None = None) -> Result:
        """Go on with a run that was stopped, killed or failed; a finished one is only reported.

        Raises:
            engine.errors.ResumeRefusedError: the document, the model, the prompts or the plan changed.
            engine.errors.RunOwnedError: another process is reading it.
        """
        with self._store() as store:
            run = store.get_run(run_id)
            if run.is_finished:
                return load_result(store, run.run_id)
            documents = [self._document(store, row, password) for row in run.documents]
            with self._reopened_model(run) as (backend, prompts):
                base = Base(
                    plan_hash=run.spec.base_plan_hash,
                    next_chunk=run.spec.first_chunk,
                    document=run.spec.first_document,
                    offset=run.spec.first_offset,
                )
                plan = _plan_like(run, documents, prompts, backend, base)
                proposal = Proposal(
                    plans=(plan,),
                    model=backend.info,
                    next_chunk=store.checkpoint(run.run_id).next_chunk_index,
                    run_id=run.run_id,
                    parent=run,
                )
                return _only(
                    self._conduct(
                        store, backend, proposal, lambda plan: store.open_run(run.run_id, plan.spec)
                    )
                )

    def continue_run(
        self, run_id: str, file: DocumentRef, *, is_new_document: bool = False, password: str | None = None
    ) -> Result:
        """Read on from the last memory of a finished run, in its last document, which has grown, or in a further one.

        Raises:
            engine.errors.ResumeRefusedError: the run is not finished, the file is not a grown version of its last
                document, or the model or its prompts changed.
        """
        with self._store() as store:
            run = _finished(store, run_id)
            documents = [store.load_document(row.content_hash) for row in run.documents]
            grown = open_document(file, password=password) if isinstance(file, Path) else _loaded(store, file)
            if is_new_document:
                first, offset = len(documents), 0
                documents.append(grown)
            else:
                first, offset = len(documents) - 1, len(documents[-1].text)
                _check_grown(documents[-1], grown)
                documents[-1] = grown
            # Not the number of planned chunks: rounds that turned out not to be needed were never read.
            begin = store.checkpoint(run.run_id).next_chunk_index
            base = Base(plan_hash=run.spec.plan_hash, next_chunk=begin, document=first, offset=offset)
            parent = Parent(run_id=run.run_id, kind="continue", next_chunk=begin)
            return self._descend(store, run, documents, base, parent, _plan_like)

    def follow_up(self, run_id: str, question: str) -> Result:
        """Answer a further question from the last memory of a finished run; no chunk is read again.

        What that reading did not keep is not known here; the certificate says for which question it was read.

        Raises:
            engine.errors.ResumeRefusedError: the run is not finished, or the model or its prompts changed.
            PlanError: the question is empty or too long.
        """
        with self._store() as store:
            run = _finished(store, run_id)
            documents = [store.load_document(row.content_hash) for row in run.documents]
            begin = store.checkpoint(run.run_id).next_chunk_index
            base = Base(plan_hash=run.spec.plan_hash, next_chunk=begin, document=len(documents))
            parent = Parent(run_id=run.run_id, kind="continue", next_chunk=begin)
            read_for = run.spec.read_for or run.question
            plan = functools.partial(_plan_like, question=question, read_for=read_for)
            return self._descend(store, run, documents, base, parent, plan)

    def branch(
        self,
        run_id: str,
        step: int | None = None,
        *,
        memory: Memory | None = None,
        sampling: Sampling | None = None,
        password: str | None = None,
    ) -> Result:
        """Start a new run from the memory after the `step`-th chunk of another, or from another memory there.

        Args:
            run_id: the other run.
            step: chunks that are taken over; None = all that it has read, so that only the answer is drawn anew.
            memory: what to go on with; None = the memory as it was.
            sampling: how replies are drawn from there on; None = as before.
            password: of the documents.

        Raises:
            PlanError: there is no such step.
            engine.errors.ResumeRefusedError: the run has not come that far, or document, model or prompts changed.
        """
        with self._store() as store:
            run = store.get_run(run_id)
            if step is None:
                step = store.checkpoint(run.run_id).next_chunk_index
            if not 1 <= step <= run.chunks_total:
                raise PlanError(f"The run {run.run_id} has the steps 1 to {run.chunks_total}, not {step}.")
            if step < run.spec.first_chunk:
                raise PlanError(
                    f"Step {step} belongs to the run that {run.run_id} continues.",
                    hint=f"Branch from {run.parent_run_id} instead.",
                )
            documents = [self._document(store, row, password) for row in run.documents]
            base = Base(
                plan_hash=run.spec.base_plan_hash,
                next_chunk=run.spec.first_chunk,
                document=run.spec.first_document,
                offset=run.spec.first_offset,
            )
            if memory is not None:
                memory = _with_sources(memory, store, run.run_id, step)
            parent = Parent(run_id=run.run_id, kind="branch", next_chunk=step, memory=memory)
            plan = functools.partial(_plan_like, sampling=sampling)
            return self._descend(store, run, documents, base, parent, plan)

    def _descend(
        self,
        store: TraceStore,
        run: RunRow,
        documents: Sequence[Document],
        base: Base,
        parent: Parent,
        make: Callable[[RunRow, Sequence[Document], PromptSet, Backend, Base], ReadingPlan],
    ) -> Result:
        """A new run that takes its beginning from another one."""
        with self._reopened_model(run) as (backend, prompts):
            plan = make(run, documents, prompts, backend, base)
            changed = [
                name
                for name in run.spec.differences(plan.spec)
                if name in ("the model", "the wording of the prompts")
            ]
            if changed:
                raise ResumeRefusedError(
                    f"The run {run.run_id} cannot be taken over: {' and '.join(changed)} changed.",
                    hint="Start a new run with `palimpsest ask`.",
                )
            return _only(
                self._conduct(
                    store,
                    backend,
                    Proposal(plans=(plan,), model=backend.info, next_chunk=parent.next_chunk, parent=run),
                    lambda plan: store.create_run(
                        plan.spec,
                        documents,
                        plan.chunks,
                        model=backend.info,
                        model_path=run.model_path,
                        parent=parent,
                        kept=[row.content_hash for row in run.documents] if self._reads_stored else (),
                    ),
                )
            )

    def _conduct(
        self,
        store: TraceStore,
        backend: Backend,
        proposal: Proposal,
        open_writer: Callable[[ReadingPlan], RunWriter],
    ) -> list[Result | GenerationError]:
        """Read with writers from where their runs stand, and end the runs whatever happens."""
        self._front.propose(proposal)
        with ExitStack() as stack:
            jobs = [_Job(store, plan, stack.enter_context(open_writer(plan))) for plan in proposal.plans]
            for job in jobs:
                job.writer.cancel = self._cancel
            self._front.announce([job.prospect for job in jobs], proposal.estimate)
            try:
                self._read([job for job in jobs if job.at.answer is None], backend)
                for job in jobs:
                    job.certify(store)
            except Cancelled:
                for job in jobs:
                    job.writer.finish("stopped")
                self._front.stopped([job.run_id for job in jobs])
                raise
            except RunOwnedError:
                raise  # somebody else's run now: it is not ours to end
            except PalimpsestError as exc:
                for job in jobs:
                    job.writer.finish("failed", exc.message)
                raise
            for job in jobs:
                job.finish()
            return [job.failure or load_result(store, job.run_id, job.certificate) for job in jobs]

    def _read(self, jobs: Sequence["_Job"], backend: Backend) -> None:
        if not jobs:
            return
        with self._front.display([job.prospect for job in jobs]) as display:
            outcomes = run_readings(
                [job.reading(display) for job in jobs],
                backend,
                cancel=self._cancel,
                lookahead=self._choice.lookahead,
            )
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.failure = outcome if isinstance(outcome, GenerationError) else None

    def _document(self, store: TraceStore, row: DocumentRow, password: str | None) -> Document:
        """A run's document: as it is stored, after a look whether its file still says the same."""
        if self._reads_stored:
            return _loaded(store, row.content_hash)
        return _unchanged_document(store, row, password)

    def _store(self) -> TraceStore:
        return TraceStore(trace_database(self._folder))

    @contextmanager
    def _model(
        self, wanted: str | None, mode: Mode | None = None
    ) -> Iterator[tuple[Backend, PromptSet, str]]:
        """The model, set up for the reading mode; its wording, and where it is to be found again."""
        choice = self._choice
        if choice.vllm is not None:
            with vllm_served(
                wanted,
                choice.vllm,
                context_tokens=choice.context_tokens,
                progress=self._front.waiting,
                cancel=self._cancel,
            ) as backend:
                yield backend, prompts_for(backend, None, choice.prompts), _SERVED + str(wanted)
            return
        if choice.servers:
            backend = open_servers(choice.servers, model=wanted, context_tokens=choice.context_tokens)
            with closing(backend):
                yield backend, prompts_for(backend, None, choice.prompts), _SERVED + " ".join(choice.servers)
            return
        path = find_model(wanted, self._folder)
        backend = self._opener(
            path,
            context_tokens=choice.context_tokens,
            num_gpu_layers=choice.num_gpu_layers,
            wishes=Wishes(
                num_threads=choice.num_threads,
                num_sequences=choice.num_sequences,
                kv_type=choice.kv_type,
                writes_long=mode is Mode.FAITHFUL,
            ),
        )
        with closing(backend):
            yield backend, prompts_for(backend, path, choice.prompts), str(path.resolve())

    @contextmanager
    def _reopened_model(self, run: RunRow) -> Iterator[tuple[Backend, PromptSet]]:
        """The model of a run: where the user says it lies now, else where it was, else under its old name.

        Raises:
            ResumeRefusedError: it was behind a server, and none is named: no server is talked to unasked.
        """
        choice = self._choice
        wanted = choice.model or (run.model_path if Path(run.model_path).is_file() else None)
        if run.model_path.startswith(_SERVED) and not (choice.servers or choice.vllm or choice.model):
            raise ResumeRefusedError(
                f"The run {run.run_id} was read by a model behind a server ({run.model_path.removeprefix(_SERVED)}).",
                hint="Name it again, with --server, or with --vllm and --model.",
            )
        with self._model(wanted, run.spec.config.mode) as (backend, prompts, _):
            yield backend, prompts


class _Job:
    """One run of a pass, from its writer to its end."""

    def __init__(self, store: TraceStore, plan: ReadingPlan, writer: RunWriter) -> None:
        self.writer = writer
        self.run_id = writer.run_id
        self.at = store.checkpoint(writer.run_id)
        start = Start(
            next_chunk=self.at.next_chunk_index,
            memory=self.at.memory,
            evidence=self.at.evidence,
            shown=_shown(store, plan, writer.run_id, self.at.next_chunk_index),
        )
        self.prospect = Prospect(run_id=writer.run_id, plan=plan, start=start)
        self.failure: GenerationError | None = None
        self.certificate: Certificate | None = None

    def reading(self, display: Observer | None) -> Reading:
        return Reading(
            plan=self.prospect.plan,
            run_id=self.run_id,
            store=self.writer,
            displays=[display] if display is not None else [],
            start=self.prospect.start,
            next_sequence=self.at.next_sequence,
        )

    def certify(self, store: TraceStore) -> None:
        if self.failure is None:
            self.certificate = make_certificate(store, self.run_id)
            self.writer.save_certificate(json.dumps(certificate_to_dict(self.certificate)))

    def finish(self) -> None:
        if self.failure is None:
            self.writer.finish("finished")
        else:
            self.writer.finish("failed", self.failure.message)


def _shown(store: TraceStore, plan: ReadingPlan, run_id: str, next_chunk: int) -> Memory | None:
    """The memory that all chunks of the current round of the parallel mode are shown."""
    if plan.config.mode is not Mode.PARALLEL:
        return None
    first = round_start(plan, next_chunk)
    return None if first is None else store.memory_before(run_id, first)


def _only(outcomes: Sequence[Result | GenerationError]) -> Result:
    """The result of a pass with one question.

    Raises:
        GenerationError: it has none.
    """
    (outcome,) = outcomes
    if isinstance(outcome, GenerationError):
        raise outcome
    return outcome


def _config(backend: Backend, prompts: PromptSet, options: ReadingOptions) -> ReadingConfig:
    return default_config(
        backend,
        prompts,
        mode=options.mode,
        chunk_tokens=options.chunk_tokens,
        memory_tokens=options.memory_tokens,
        overlap_tokens=options.overlap_tokens,
        sampling=options.sampling,
        recall_chunks=options.recall_chunks,
    )


def _plan_like(
    run: RunRow,
    documents: Sequence[Document],
    prompts: PromptSet,
    backend: Backend,
    base: Base,
    *,
    question: str | None = None,
    read_for: str | None = None,
    sampling: Sampling | None = None,
) -> ReadingPlan:
    """The plan of a run, or one that differs from it in what is given. Another question has no companions."""
    config = run.spec.config
    return make_plan(
        documents,
        run.question if question is None else question,
        config=config if sampling is None else dataclasses.replace(config, sampling=sampling),
        prompts=prompts,
        backend=backend,
        base=base,
        companions=run.spec.companions if question is None else (),
        read_for=run.spec.read_for if read_for is None else read_for,
    )


def _finished(store: TraceStore, run_id: str) -> RunRow:
    run = store.get_run(run_id)
    if not run.is_finished:
        raise ResumeRefusedError(
            f"The run {run.run_id} is not finished.", hint=f"First: palimpsest resume {run.run_id}"
        )
    return run


def _loaded(store: TraceStore, content_hash: str) -> Document:
    """A stored document, with a warning where its file is another one by now."""
    document = store.load_document(content_hash)
    row = next(row for row in store.list_documents() if row.content_hash == content_hash)
    if not row.path.is_file() or _is_untouched(row):
        return document
    warning = "The file has changed since it was imported; what was imported is read."
    return dataclasses.replace(document, warnings=(*document.warnings, warning))


def _is_untouched(row: DocumentRow) -> bool:
    stat = row.path.stat()
    return (stat.st_size, stat.st_mtime) == (row.size_bytes, row.modified_at)


def _unchanged_document(store: TraceStore, row: DocumentRow, password: str | None) -> Document:
    """The document as it was read: from the store, after a look whether its file still says the same."""
    stored = store.load_document(row.content_hash)
    if row.path.is_file() and not _is_untouched(row):
        now = open_document(row.path, password=password)
        if now.content_hash != stored.content_hash:
            raise ResumeRefusedError(
                f"The document {row.name} changed since the run was started.",
                hint="Start a new run, or, if it only grew, finish this one and use `palimpsest continue`.",
            )
    return stored


def _with_sources(memory: Memory, store: TraceStore, run_id: str, step: int) -> Memory:
    """An edited memory: lines that were left as they were keep the places that they were copied from."""
    taken = next(row for row in store.steps(run_id) if row.chunk.index == step - 1)
    known = {item.text: item for item in taken.memory_after.items}
    return Memory(tuple(known.get(item.text, item) for item in memory.items))


def _check_grown(before: Document, after: Document) -> None:
    if not after.text.startswith(before.text) or len(after.text) == len(before.text):
        what = "is the same text as" if after.text == before.text else "is not a grown version of"
        raise ResumeRefusedError(
            f"{after.name} {what} {before.name}, which the run has read.",
            hint="If it is a further document, add --new-document; if it was edited, start a new run.",
        )
