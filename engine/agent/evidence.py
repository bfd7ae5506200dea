"""Evidence: excerpts of the document that support memory and answer, located exactly or not at all.

A claim counts as verified only if the document's own text holds it: word for word, or, for a rephrased sentence, all of
its numbers, names and quoted words in one excerpt. A highlight is never guessed.
"""

import re
from collections.abc import Iterable, Sequence

from engine.agent.events import Claim, Evidence
from engine.agent.memory import Memory
from engine.agent.plan import ReadingPlan
from engine.chunking import Chunk
from engine.documents.model import Document, Span
from engine.locate import locate, normalise
from engine.sentences import sentence_spans
from engine.text import strip_span

_WORD = re.compile(r"\w+(?:[.,'’-]\w+)*")
_QUOTED = re.compile(r"[\"“«]([^\"“”«»]{3,})[\"”»]")
_SUPPORT_SHARE = 0.6
_CONTENT_LETTERS = 4


def excerpt(document: Document, span: Span) -> Evidence:
    """The excerpt at a place of a document."""
    page = document.page_at(span.start)
    return Evidence(
        document=span.document,
        start=span.start,
        end=span.end,
        quote=document.text[span.start : span.end],
        page=page.number,
        label=page.label,
    )


def support_for(after: str, before: str, document: Document, chunk: Chunk) -> list[Span]:
    """Sentences of the chunk that new sentences of a free-text memory are drawn from.

    For each new sentence the chunk's sentence that holds most of its content words, if that is at least
    60 % of them.
    """
    known = {normalise(sentence) for sentence in sentences(before)}
    text = document.text[chunk.start : chunk.end]
    places = [strip_span(text, start, end) for start, end in sentence_spans(text)]
    words = [_content_words(text[start:end]) for start, end in places]
    spans: list[Span] = []
    for sentence in sentences(after):
        wanted = _content_words(sentence)
        if not wanted or normalise(sentence) in known:
            continue
        share, best = max(
            ((len(wanted & held) / len(wanted), i) for i, held in enumerate(words)), default=(0.0, 0)
        )
        if share >= _SUPPORT_SHARE:
            start, end = places[best]
            span = Span(document=chunk.document, start=chunk.start + start, end=chunk.start + end)
            if span not in spans:
                spans.append(span)
    return spans


def judge_answer(
    plan: ReadingPlan, answer: str, memory: Memory, found: Sequence[Evidence]
) -> tuple[Claim, ...]:
    """Each statement of the answer with the excerpt that holds it, or none.

    Excerpts in the memory are tried first, then all that were ever found, then the whole text word for word.
    """
    held = [
        excerpt(plan.documents[item.source.document], item.source) for item in memory.items if item.source
    ]
    pool = list(dict.fromkeys([*held, *found]))
    claims = []
    for text in sentences(answer):
        evidence = _best(text, plan.question, pool) or _anywhere(text, plan.documents)
        claims.append(Claim(text=text, evidence=evidence))
    return tuple(claims)


def supports(claim: str, quote: str, question: str = "") -> bool:
    """Whether an excerpt holds a claim: word for word, or all its numbers, names and quoted words.

    Words of the question do not count as support: they are in the claim because they were asked for.
    """
    text, place = _words(claim), _words(quote)
    if not text:
        return False
    if _contains(place, text):
        return True
    quoted = [_words(part) for part in _QUOTED.findall(claim)]
    asked = set(_words(question))
    keys = {word for word in _key_words(claim) if word not in asked}
    if not quoted and not keys:
        return False
    return all(_contains(place, part) for part in quoted) and keys <= set(place)


def sentences(text: str) -> list[str]:
    """The sentences of a text that a model wrote; list markers and empty lines left out."""
    pieces = (text[start:end].strip().lstrip("-*•").strip() for start, end in sentence_spans(text))
    return [piece for piece in pieces if any(character.isalnum() for character in piece)]


def _best(claim: str, question: str, pool: Iterable[Evidence]) -> Evidence | None:
    """The supporting excerpt that shares most words with the question; the first one among equals."""
    asked = set(_words(question))
    supporting = [evidence for evidence in pool if supports(claim, evidence.quote, question)]
    return max(supporting, key=lambda evidence: len(asked & set(_words(evidence.quote))), default=None)


def _anywhere(claim: str, documents: Sequence[Document]) -> Evidence | None:
    """The claim itself, word for word, anywhere in the documents. Single words are too common to prove anything."""
    if len(_words(claim)) < 3:
        return None
    for number, document in enumerate(documents):
        for start, end in locate(claim, document.text)[:1]:
            return excerpt(document, Span(document=number, start=start, end=end))
    return None


def _words(text: str) -> list[str]:
    return _WORD.findall(normalise(text))


def _content_words(text: str) -> set[str]:
    return {word for word in _words(text) if len(word) >= _CONTENT_LETTERS or not word.isalpha()}


def _key_words(claim: str) -> list[str]:
    """Numbers, and words that start with a capital elsewhere than at the start of the claim; normalised."""
    matches = list(_WORD.finditer(claim))
    keys = []
    for index, match in enumerate(matches):
        word = match.group()
        is_name = word[0].isupper() and index > 0
        if is_name or any(character.isdigit() for character in word):
            keys.extend(_words(word))
    return keys


def _contains(words: Sequence[str], part: Sequence[str]) -> bool:
    """Whether `part` stands unbroken in `words`."""
    length = len(part)
    return any(list(words[i : i + length]) == list(part) for i in range(len(words) - length + 1))
