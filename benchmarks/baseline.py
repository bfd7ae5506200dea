"""The baseline: MemAgent's loop as its users run it, on llama-cpp-python's `Llama` class.

One chat request a chunk, one after the other, the whole memory written anew each time (arXiv 2507.02259). Nothing of
the engine is used but its wording and its cuts, so that both sides read the same text. `Llama` keeps what it always
keeps, the KV of the longest common prefix, and flash attention is off, which is its default and faster for replies as
long as a memory on a CPU (docs/log.md): a slow baseline would buy the ratio.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import llama_cpp

from engine.agent.config import Mode
from engine.agent.plan import ReadingPlan, reply_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a reading cost.

    Attributes:
        wall_s: from the first request to the answer; loading the model is not in it.
        prompt_tokens: of all requests, reused ones included.
        reply_tokens: of all replies.
        answer: the final reply.
    """

    wall_s: float
    prompt_tokens: int
    reply_tokens: int
    answer: str


class _ForcedLlama(llama_cpp.Llama):  # type: ignore[misc]
    """`Llama`, except that after every draw the next token of a given reply is taken instead."""

    def force(self, token_ids: Sequence[int]) -> None:
        self._forced: Iterator[int] = iter([*token_ids, self.token_eos()])

    def sample(self, *arguments: Any, **settings: Any) -> int:
        super().sample(*arguments, **settings)
        return next(self._forced)


class Baseline:
    """A model loaded as `Llama`.

    Args:
        model: the GGUF file.
        context_tokens: its window.
        num_threads: threads that compute, for prompts and replies.
        batch_tokens: tokens computed in one call; 512 is the default of `Llama`.
        num_gpu_layers: layers on the GPU; 0 is the default of `Llama`.
        is_forced: whether replies are given.
    """

    def __init__(
        self,
        model: Path,
        *,
        context_tokens: int,
        num_threads: int,
        batch_tokens: int = 512,
        num_gpu_layers: int = 0,
        is_forced: bool = False,
    ) -> None:
        make = _ForcedLlama if is_forced else llama_cpp.Llama
        self._llama: Any = make(
            str(model),
            n_ctx=context_tokens,
            n_threads=num_threads,
            n_threads_batch=num_threads,
            n_batch=batch_tokens,
            n_ubatch=batch_tokens,
            n_gpu_layers=num_gpu_layers,
            flash_attn=num_gpu_layers != 0,
            verbose=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the model."""
        self._llama.close()

    def read_by_chat(self, plan: ReadingPlan, forced: Sequence[str] | None = None) -> Cost:
        """Read in the wording of the faithful mode, through chat completions.

        Args:
            plan: chunks, question and wording; its mode does not matter.
            forced: the memory after each chunk, then the answer; None = what the model says.
        """
        replies = iter(forced or ())
        usage: list[dict[str, int]] = []
        began = time.perf_counter()

        def chat(prompt: str, max_tokens: int) -> str:
            if forced is not None:
                self._llama.force(self._llama.tokenize(next(replies).encode(), add_bos=False))
            done = self._llama.create_chat_completion(
                messages=[{"role": "user", "content": prompt}],
                max_tokens=max_tokens,
                temperature=plan.config.sampling.temperature,
            )
            usage.append(done["usage"])
            text: str = done["choices"][0]["message"]["content"]
            return text

        memory = ""
        for chunk in plan.chunks:
            prompt = plan.prompts.read(
                Mode.FAITHFUL,
                question=plan.question,
                memory=(memory,) if memory else (),
                section=[plan.documents[chunk.document].text[chunk.start : chunk.end]],
                pages=chunk.labels,
                heading=chunk.heading,
            )
            memory = chat(_text(prompt), plan.config.memory_tokens)
        final = plan.prompts.final(Mode.FAITHFUL, question=plan.question, memory=(memory,))
        answer = chat(_text(final), plan.config.answer_tokens)
        return Cost(
            wall_s=time.perf_counter() - began,
            prompt_tokens=sum(one["prompt_tokens"] for one in usage),
            reply_tokens=sum(one["completion_tokens"] for one in usage),
            answer=answer,
        )

    def read_by_labels(self, plan: ReadingPlan) -> Cost:
        """Read with a model that names labels which are special tokens.

        Chat completions leave special tokens out of their text, so this takes the tokens from `Llama.generate`, which
        costs less than a chat completion. No grammar: a label that does not exist is passed over.
        """
        began = time.perf_counter()
        prompt_tokens = num_replied = 0

        def complete(prompt: str, max_tokens: int) -> str:
            nonlocal prompt_tokens, num_replied
            ids = self._llama.tokenize(self._rendered(prompt).encode(), add_bos=False, special=True)
            prompt_tokens += len(ids)
            reply: list[int] = []
            for token_id in self._llama.generate(ids, temp=0.0):
                if token_id == self._llama.token_eos() or len(reply) == max_tokens:
                    break
                reply.append(token_id)
            num_replied += len(reply)
            text: str = self._llama.detokenize(reply, special=True).decode("utf-8", "replace")
            return text

        prompts = plan.prompts
        memory: list[str] = []
        for chunk in plan.chunks:
            prompt = prompts.read(
                Mode.EXTRACTIVE,
                question=plan.question,
                memory=memory,
                section=[unit.text for unit in chunk.units],
                pages=chunk.labels,
                heading=chunk.heading,
            )
            reply = complete(_text(prompt), reply_tokens(plan.config, prompts))
            if reply == prompts.unchanged:
                continue
            named = {prompts.memory_label.format(n=n): text for n, text in enumerate(memory, start=1)}
            named |= {
                prompts.sentence_label.format(n=n): unit.text.strip()
                for n, unit in enumerate(chunk.units, start=1)
            }
            places = sorted((reply.find(label), label) for label in named if label in reply)
            memory = [named[label] for _, label in places][: prompts.max_items] or memory
        answer = prompts.not_stated
        if memory:
            final = prompts.final(Mode.EXTRACTIVE, question=plan.question, memory=memory)
            answer = complete(_text(final), plan.config.answer_tokens)
        return Cost(
            wall_s=time.perf_counter() - began,
            prompt_tokens=prompt_tokens,
            reply_tokens=num_replied,
            answer=answer.strip(),
        )

    @property
    def _rendered(self) -> Callable[[str], str]:
        """The chat template, filled with one user message."""
        source = self._llama.metadata["tokenizer.chat_template"]
        formatter = llama_cpp.llama_chat_format.Jinja2ChatFormatter(
            template=source,
            eos_token=self._llama.detokenize([self._llama.token_eos()], special=True).decode(),
            bos_token="",
        )
        return lambda content: str(formatter(messages=[{"role": "user", "content": content}]).prompt)


def _text(prompt: Sequence[Any]) -> str:
    return "".join(segment.text for segment in prompt)
