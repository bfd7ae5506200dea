"""What a reply may look like (GBNF grammars) and what it means (parsers). Both sides of one contract, side by side."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.agent.config import Mode
from engine.agent.events import IncidentKind
from engine.agent.prompts import PromptSet
from engine.backends.gbnf import quote

NOT_STATED = "The document does not say."
"""What people are shown when the document does not answer the question."""

_EXCERPT_WORD = re.compile(r"[^\s.,;:!?\"“”()\[\]]+(?:[.,:]\d+)*")
_THINK_OPEN = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_THINK_CLOSE = re.compile(r"</think(?:ing)?>", re.IGNORECASE)


class UnusableReply(Exception):  # handled inside the loop, never shown to a user
    """A reply that cannot become the memory. `kind` says why."""

    def __init__(self, kind: IncidentKind) -> None:
        super().__init__(kind.value)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Labels:
    """A parsed extractive reply.

    Attributes:
        memory: indices of the memory items that are kept, from 0, in the order named.
        sentences: indices of the section's sentences that enter the memory, from 0, in the order named.
        note: the model's own sentence; "" = none.
    """

    memory: tuple[int, ...]
    sentences: tuple[int, ...]
    note: str = ""


def read_grammar(mode: Mode, prompts: PromptSet, *, num_items: int, num_sentences: int) -> str | None:
    """GBNF for the reply to one chunk: only labels that exist can be named, so that every reply parses."""
    if mode is Mode.FAITHFUL:
        return None
    if mode is Mode.GATED:
        return f"root ::= {quote(prompts.keep)} | {quote(prompts.update)} " + r'"\n" [^\x00]+'
    labels = [prompts.memory_label.format(n=n + 1) for n in range(num_items)]
    labels += [prompts.sentence_label.format(n=n + 1) for n in range(num_sentences)]
    more = max(0, min(prompts.max_items, len(labels)) - 1)
    separator = f"{quote(prompts.label_separator)} " if prompts.label_separator else ""
    note = ""
    if prompts.note_prefix:
        note = f' (" " {quote(prompts.note_prefix)} [^\\n\\x00]+)?'
    return "\n".join(
        [
            f"root ::= {quote(prompts.unchanged)} | labels{note}",
            f"labels ::= label ({separator}label){{0,{more}}}",
            f"label ::= {' | '.join(quote(label) for label in labels)}",
        ]
    )


def gate_grammar(prompts: PromptSet, *, num_questions: int, num_sentences: int) -> str:
    """GBNF for the reply to the joint prompt; where sentences are named, the first one settles it."""
    labels = _gate_labels(prompts, num_questions=num_questions, num_sentences=num_sentences)
    separator = f"{quote(prompts.label_separator)} " if prompts.label_separator else ""
    more = 0 if prompts.joint_names_sentences else num_questions - 1
    return "\n".join(
        [
            f"root ::= {quote(prompts.unchanged)} | label ({separator}label){{0,{more}}}",
            f"label ::= {' | '.join(map(quote, labels))}",
        ]
    )


def _gate_labels(prompts: PromptSet, *, num_questions: int, num_sentences: int) -> list[str]:
    if prompts.joint_names_sentences:
        return [prompts.sentence_label.format(n=n + 1) for n in range(num_sentences)]
    return [prompts.question_label.format(n=n + 1) for n in range(num_questions)]


def parse_gate(reply: str, prompts: PromptSet, *, num_questions: int, num_sentences: int) -> frozenset[int]:
    """The questions that a section is to be read for, counted from 0; all of them where a sentence is named.

    Raises:
        UnusableReply: empty, unclosed thinking, or anything else than labels that exist.
    """
    text = strip_thinking(reply)
    if text == prompts.unchanged:
        return frozenset()
    labels = _gate_labels(prompts, num_questions=num_questions, num_sentences=num_sentences)
    frame = prompts.sentence_label if prompts.joint_names_sentences else prompts.question_label
    words = _split_labels(text, prompts, frame)
    if not set(labels) >= set(words):
        raise UnusableReply(IncidentKind.WRONG_FORMAT)
    if prompts.joint_names_sentences:
        return frozenset(range(num_questions))
    return frozenset(labels.index(word) for word in words)


def closed_replies(mode: Mode, prompts: PromptSet) -> tuple[str, ...]:
    """Replies to one chunk that are complete as they stand: in `read_grammar` nothing can follow them."""
    if mode.names_labels:
        return (prompts.unchanged,)
    return (prompts.keep,) if mode is Mode.GATED else ()


def answer_grammar(prompts: PromptSet, memory: Sequence[str]) -> str | None:
    """GBNF for the final reply: unbroken words of one item, or that the document does not say; None = free.

    Every word is a rule that may be followed by the next one, so that an excerpt can begin and end at any word but
    holds the punctuation between its words as it stands.
    """
    if not prompts.answer_is_excerpt:
        return None
    starts: list[str] = []
    rules: list[str] = []
    for number, text in enumerate(memory):
        words = [match.span() for match in _EXCERPT_WORD.finditer(text)]
        for place, (start, end) in enumerate(words):
            name = f"w{number}-{place}"
            starts.append(name)
            body = quote(text[start:end])
            if place + 1 < len(words):
                gap = text[end : words[place + 1][0]]
                body += f" ({quote(gap) + ' ' if gap else ''}w{number}-{place + 1})?"
            rules.append(f"{name} ::= {body}")
    if not starts:
        return f"root ::= {quote(prompts.not_stated)}"
    prefix = f"{quote(prompts.data_prefix)} " if prompts.data_prefix else ""
    root = f"root ::= {quote(prompts.not_stated)} | {prefix}excerpt"
    return "\n".join([root, f"excerpt ::= {' | '.join(starts)}", *rules])


def parse_labels(reply: str, prompts: PromptSet, *, num_items: int, num_sentences: int) -> Labels | None:
    """Meaning of an extractive reply; None = the memory stays as it is.

    Raises:
        UnusableReply: empty, unclosed thinking, or anything else than labels that exist.
    """
    text = strip_thinking(reply)
    if text == prompts.unchanged:
        return None
    note = ""
    if prompts.note_prefix and prompts.note_prefix in text:
        text, note = (part.strip() for part in text.split(prompts.note_prefix, 1))
    names = {prompts.memory_label.format(n=n + 1): (True, n) for n in range(num_items)}
    names |= {prompts.sentence_label.format(n=n + 1): (False, n) for n in range(num_sentences)}
    found: list[tuple[bool, int]] = []
    for word in _split_labels(text, prompts, prompts.memory_label, prompts.sentence_label):
        if word not in names:
            raise UnusableReply(IncidentKind.WRONG_FORMAT)
        if names[word] not in found:
            found.append(names[word])
    return Labels(
        memory=tuple(n for is_memory, n in found if is_memory),
        sentences=tuple(n for is_memory, n in found if not is_memory),
        note=note,
    )


def parse_memory(reply: str, mode: Mode, prompts: PromptSet) -> str | None:
    """Meaning of a reply in a free-text mode: the new memory; None = the memory stays as it is.

    Raises:
        UnusableReply: empty, unclosed thinking, or a gated reply without a verdict.
    """
    text = strip_thinking(reply)
    if mode is Mode.GATED:
        if text == prompts.keep:
            return None
        if not text.startswith(prompts.update):
            raise UnusableReply(IncidentKind.WRONG_FORMAT)
        text = text[len(prompts.update) :].strip()
    if not text:
        raise UnusableReply(IncidentKind.EMPTY_REPLY)
    return text


def parse_answer(reply: str, prompts: PromptSet) -> str | None:
    """Meaning of the final reply: the answer; None = the document does not say.

    Raises:
        UnusableReply: empty or unclosed thinking.
    """
    text = strip_thinking(reply)
    refused = text == prompts.not_stated or _letters(text).startswith(_letters(NOT_STATED))
    return None if refused else text


def strip_thinking(reply: str) -> str:
    """The reply behind the model's thinking, stripped.

    Raises:
        UnusableReply: the thinking never ends, or nothing follows it.
    """
    closed = list(_THINK_CLOSE.finditer(reply))
    if closed:
        reply = reply[closed[-1].end() :]
    elif _THINK_OPEN.search(reply):
        raise UnusableReply(IncidentKind.UNCLOSED_THINKING)
    if not reply.strip():
        raise UnusableReply(IncidentKind.EMPTY_REPLY)
    return reply.strip()


def _split_labels(text: str, prompts: PromptSet, *frames: str) -> list[str]:
    if prompts.label_separator:
        return text.split()
    frame = "|".join(re.escape(label).replace(re.escape("{n}"), r"\d+") for label in frames)
    words = re.findall(frame, text)
    if "".join(words) != "".join(text.split()):
        raise UnusableReply(IncidentKind.WRONG_FORMAT)
    return words


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
