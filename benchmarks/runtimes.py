"""The engine's runtime beside llama.cpp's own server as a Python package (xllamacpp): the same requests, in turns.

    python -m benchmarks.runtimes [--models-dir FOLDER] [--threads 2] [--rounds 5] [--json]

Two kinds of work (decision 9): chunks of the bundled sample, which the bundled model answers with a label or two under
the grammar of each chunk; and replies of a random model of the 0.5B shape at Q4_K_M, drawn at temperature 1, which
nothing can guess. Each is given one request after the other, and eight at a time. Either runtime is a process of its
own with as many threads, batches of 512 and eight sequences; the turns alternate, so that a machine that gets slower
does so for both, and no turn asks what an earlier one asked, since both keep what they computed. Loading is in no
figure. The server is given token ids, the engine tokenises.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.documents import SAMPLE
from benchmarks.environment import describe
from benchmarks.floors import Spread
from benchmarks.models import make_model
from engine.agent.memory import EMPTY
from engine.agent.plan import default_config, make_plan
from engine.agent.steps import read_request
from engine.backends.base import Request, Sampling, Segment
from engine.backends.llamacpp import grammar_writer
from engine.backends.native import NativeModel
from engine.backends.wishes import Wishes
from engine.documents.reader import open_document
from engine.models.catalogue import BUNDLED
from engine.models.opening import open_model, prompts_for

SIDE_BY_SIDE = 8
_QUESTION = "Who approved budget {} of the northern quay?"
_NUM_CHUNKS = 128
_NUM_REPLIES = 16
_PROMPT_CHARACTERS = 600  # 230 tokens of the made-up vocabulary
_REPLY_TOKENS = 24

Job = dict[str, Any]
"""One request, as both runtimes take it: segments and token ids of the prompt, grammars by text and by token id."""


@dataclass(frozen=True, slots=True)
class Work:
    """Requests to one model.

    Attributes:
        name: for the report.
        model: the GGUF file.
        window_tokens: of one sequence.
        turns: the requests of each turn.
    """

    name: str
    model: Path
    window_tokens: int
    turns: list[list[Job]]


def chunks_of_the_sample(num_turns: int) -> Work:
    """The first reads of readings of the bundled sample, a question a turn."""
    document = open_document(SAMPLE)
    vocabulary = NativeModel(BUNDLED, vocab_only=True)
    write = grammar_writer(vocabulary)  # labels are control tokens, which the server has to be told by id
    with closing(open_model(BUNDLED)) as backend:
        prompts = prompts_for(backend)
        config = default_config(backend, prompts)
        turns = []
        for turn in range(num_turns):
            question = _QUESTION.format(turn)
            plan = make_plan([document], question, config=config, prompts=prompts, backend=backend)
            requests = [read_request(plan, chunk, EMPTY) for chunk in plan.chunks[:_NUM_CHUNKS]]
            turns.append(
                [
                    {
                        **_job(each, backend.encode(each.prompt)),
                        "token_grammar": write(each.grammar or ""),
                        "labels": list(vocabulary.control.values()),
                    }
                    for each in requests
                ]
            )
        vocabulary.free()
        return Work("labels of chunks", BUNDLED, backend.info.context_tokens, turns)


def replies_at_random(model: Path, num_turns: int) -> Work:
    """Prompts that share nothing, and replies that cannot be guessed."""
    text = open_document(SAMPLE).text
    window = 512
    with closing(open_model(model, context_tokens=window, wishes=Wishes(num_threads=1))) as backend:
        jobs = []
        for number in range(num_turns * _NUM_REPLIES):
            at = number * _PROMPT_CHARACTERS
            request = Request(
                prompt=(Segment(text[at : at + _PROMPT_CHARACTERS], is_data=True),),
                max_tokens=_REPLY_TOKENS,
                sampling=Sampling(temperature=1.0, seed=number),
            )
            jobs.append(_job(request, backend.encode(request.prompt)))
    turns = [jobs[at : at + _NUM_REPLIES] for at in range(0, len(jobs), _NUM_REPLIES)]
    return Work("replies of a random 0.5B", model, window, turns)


def _job(request: Request, ids: Sequence[int]) -> Job:
    return {
        "segments": [[segment.text, segment.is_data] for segment in request.prompt],
        "ids": list(ids),
        "max_tokens": request.max_tokens,
        "temperature": request.sampling.temperature,
        "seed": request.sampling.seed,
        "grammar": request.grammar,
        "closed": list(request.closed),
    }


# The two runtimes, each in a child process


def _ours(options: argparse.Namespace) -> Callable[[list[Job]], int]:
    backend = open_model(
        options.model,
        context_tokens=options.window,
        wishes=Wishes(num_threads=options.threads, num_sequences=SIDE_BY_SIDE),
    )

    def complete(jobs: list[Job]) -> int:
        requests = [
            Request(
                prompt=tuple(Segment(text, is_data=is_data) for text, is_data in job["segments"]),
                max_tokens=job["max_tokens"],
                sampling=Sampling(temperature=job["temperature"], seed=job["seed"]),
                grammar=job["grammar"],
                closed=tuple(job["closed"]),
            )
            for job in jobs
        ]
        return sum(len(one.token_ids) for one in backend.generate(requests))

    return complete


def _server(options: argparse.Namespace) -> Callable[[list[Job]], int]:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    params.n_parallel = SIDE_BY_SIDE
    params.n_ctx = options.window * SIDE_BY_SIDE
    params.n_batch = params.n_ubatch = 512
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.cache_ram_mib = 0  # no prompt comes back, and keeping them costs time
    params.port = 0
    server = xllamacpp.Server(params)

    def one(job: Job) -> int:
        body = {
            "prompt": job["ids"],
            "n_predict": job["max_tokens"],
            "temperature": job["temperature"],
            "seed": job["seed"],
            "samplers": ["temperature"],
            "stop": job["closed"],
        }
        if job["grammar"]:
            body |= {"grammar": job["token_grammar"], "preserved_tokens": job["labels"]}
        else:
            body |= {"ignore_eos": True}
        done: dict[str, Any] = server.handle_completions(body)
        if "usage" not in done:
            raise SystemExit(f"the server failed: {done}")
        return int(done["usage"]["completion_tokens"])

    def complete(jobs: list[Job]) -> int:
        with ThreadPoolExecutor(len(jobs)) as threads:
            return sum(threads.map(one, jobs))

    return complete


RUNTIMES = {"engine": _ours, "xllamacpp": _server}


def _serve(options: argparse.Namespace) -> None:
    """Do a turn's work each time that a line says how many requests are given at a time."""
    complete = RUNTIMES[options.child](options)
    warm_up, *turns = json.loads(options.jobs.read_text("utf-8"))
    complete(warm_up[:SIDE_BY_SIDE])
    print("ready", flush=True)
    for line, jobs in zip(sys.stdin, turns, strict=False):
        size = int(line)
        began = time.perf_counter()
        num_tokens = sum(complete(jobs[at : at + size]) for at in range(0, len(jobs), size))
        result = {"wall_s": time.perf_counter() - began, "reply_tokens": num_tokens}
        print(json.dumps(result), flush=True)


class _Child:
    def __init__(self, runtime: str, work: Work, jobs: Path, num_threads: int) -> None:
        command = [sys.executable, "-m", "benchmarks.runtimes", "--child", runtime]
        command += ["--model", str(work.model), "--jobs", str(jobs), "--window", str(work.window_tokens)]
        self._process = subprocess.Popen(
            [*command, "--threads", str(num_threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answer()

    def measure(self, size: int) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{size}\n")
        self._process.stdin.flush()
        result: dict[str, float] = json.loads(self._answer())
        return result

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a runtime went away; is xllamacpp installed (extra dev)?")
        return line

    def close(self) -> None:
        self._process.kill()
        with self._process:  # closes the pipes and waits
            pass


def compare(work: Work, *, folder: Path, num_threads: int, num_rounds: int) -> dict[str, Any]:
    """Requests a second of both, and their ratio turn by turn."""
    path = folder / "jobs.json"
    path.write_text(json.dumps(work.turns), "utf-8")
    jobs = work.turns[0]
    details: dict[str, Any] = {
        "requests": len(jobs),
        "prompt_tokens": sum(len(job["ids"]) for job in jobs),
    }
    with ExitStack() as stack:
        children = {
            name: stack.enter_context(closing(_Child(name, work, path, num_threads))) for name in RUNTIMES
        }
        for size in (1, SIDE_BY_SIDE):
            turns = [
                {name: child.measure(size) for name, child in children.items()} for _ in range(num_rounds)
            ]
            ratios = Spread.of(turn["xllamacpp"]["wall_s"] / turn["engine"]["wall_s"] for turn in turns)
            details["one by one" if size == 1 else f"{size} at a time"] = {
                "ratio": round(ratios.median, 3),
                "ratios": asdict(ratios),
                **{
                    name: {
                        "requests_per_s": asdict(
                            Spread.of(len(jobs) / turn[name]["wall_s"] for turn in turns)
                        ),
                        "reply_tokens": turns[-1][name]["reply_tokens"],
                    }
                    for name in children
                },
            }
    return details


def main() -> None:
    """Compare and print; above 1 the engine is faster."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models-dir", type=Path, help="where the random model is kept; else made anew")
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    for name in ("--child", "--model", "--jobs", "--window"):
        kind = {"--child": str, "--window": int}.get(name, Path)
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _serve(options)
        return
    busy_percent = psutil.cpu_percent(interval=2.0)
    with tempfile.TemporaryDirectory(prefix="palimpsest-benchmark-") as temporary:
        folder = Path(temporary)
        models = options.models_dir or folder
        num_turns = 1 + 2 * options.rounds  # one to warm up
        random_model = make_model(models, "0.5b", "q4_k_m", seed=0, num_threads=options.threads)
        details = {
            work.name: compare(work, folder=folder, num_threads=options.threads, num_rounds=options.rounds)
            for work in (chunks_of_the_sample(num_turns), replies_at_random(random_model, num_turns))
        }
    report = {
        "benchmark": "runtimes",
        "environment": describe(),
        "busy_percent": busy_percent,
        "threads": options.threads,
        "details": details,
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for name, each in details.items():
        for way in ("one by one", f"{SIDE_BY_SIDE} at a time"):
            print(f"{name}, {way}: xllamacpp's time / the engine's {each[way]['ratio']:g}")


if __name__ == "__main__":
    main()
