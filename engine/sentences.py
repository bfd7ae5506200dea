"""Divides text into sentences by rules, in linear time, without a model or a word list to download.

The spans tile the text. Headings, list items and table rows are sentences of their own; the hard-wrapped
lines of a paragraph are not.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator

_CLOSERS = "\"'”’»›)\\]}」』）】〉》*_"
_OPENERS = "\"'“‘«‹„‚([{「『（【〈《*_¿¡ \t\n\r\f\v\u00a0\u3000-–—"

_BOUNDARY = re.compile(
    rf"(?P<wide>[。！？｡।॥]++)[{_CLOSERS}]*+\s*+"
    rf"|(?P<stop>[.!?…؟۔]++)(?P<close>[{_CLOSERS}]*+)(?P<space>\s*+)"
    rf"|(?P<line>\n\s*+)"
)
"""Where a sentence may end. Every alternative succeeds on its first character and consumes all that it looks
at (possessive), so that a scan is linear whatever the text."""

_WORD_WINDOW_CHARS = 24
_LINE_WINDOW_CHARS = 400
_SHORT_LINE_CHARS = 32

_ABBREVIATIONS = frozenset(
    "mr mrs ms mx messrs mme mlle dr prof st ste sr sra srta fr rev hon gen col maj capt cpt lt cmdr adm "
    "sgt cpl pvt gov pres rep sen amb sec fig figs eq eqs no nos nr vol vols ch chap art arts para pp pg "
    "sect cf viz vs al ca approx resp ed eds trans repr dept univ est cal e.g i.e eg ie op cit ibid bros "
    "mt ft messers supt esq bzw z.b d.h u.a vgl ggf abs bd hr fr hrsg nrn str tel aprox núm pág av ud uds "
    "p.ej т.е г ул стр рис jan feb mar apr jun jul aug sept oct nov dec".split()
)
"""A full stop behind these ends no sentence."""

_AMBIGUOUS = frozenset(
    "inc corp ltd co llc jr sr etc a.m p.m u.s u.k u.n e.u d.c b.c a.d ph.d m.d plc gmbh usw".split()
)
"""A full stop behind these ends a sentence only if a word follows that likes to begin one."""

_STARTERS = frozenset(
    "The This That These Those There Then Thus They Their He She It Its His Her We Our You Your I In On "
    "At As If When While Where After Before But And Or So Yet For From With By To Of A An All Some Many "
    "Most Each No Not Now However Although Because Since Under Upon What Who Why How Such Both Here Der "
    "Die Das Ein Eine Es Er Sie Wir Im In El La Los Las Un Una Le Les Il Elle".split()
)
_MONTHS = frozenset(
    "Januar Jänner Februar März April Mai Juni Juli August September Oktober November Dezember".split()
)
_ROMAN = re.compile(r"[IVXLCDMivxlcdm]{1,7}")
_LIST_ITEM = re.compile(
    r"[ \t]*(?:[•·▪◦‣●○■□–—*+-][ \t]|\(?[0-9]{1,3}[.)][ \t]|\(?[a-zA-Z][.)][ \t]|\([ivx]{1,5}\)[ \t])"
)
_FIGURES_AT_END = re.compile(r"[\d)%—–-][ \t]+[$€£]?[ \t]*\(?[\d.,—–-]+\)?[ \t]*%?[ \t]*$")


def sentence_spans(text: str, soft_breaks: Collection[int] = ()) -> list[tuple[int, int]]:
    """Divide text into sentences, by rules; headings, list items and table rows count as sentences.

    Args:
        text: any text; hard-wrapped lines within a paragraph end no sentence.
        soft_breaks: offsets of blank lines that are page breaks: they end a sentence only as a line end
            would.

    Returns:
        Spans that tile the text: each begins where the one before ends; the whitespace between two sentences
        belongs to the later one, that at the end of the text to the last one. No text, no span.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for end in _ends(text, soft_breaks):
        if end > start and not text[start:end].isspace():
            spans.append((start, end))
            start = end
    if start < len(text):
        if spans and text[start:].isspace():
            start = spans.pop()[0]
        spans.append((start, len(text)))
    return spans


def _ends(text: str, soft_breaks: Collection[int]) -> Iterator[int]:
    """Offsets behind the last visible character of each sentence."""
    for match in _BOUNDARY.finditer(text):
        kind = match.lastgroup
        if kind == "wide":
            yield match.start() + len(match[0].rstrip())
        elif kind == "line":
            if _line_ends_sentence(text, match.start(), match.end(), soft_breaks):
                end = match.start()
                while end and text[end - 1].isspace():
                    end -= 1
                yield end
        elif match["space"] and _stop_ends_sentence(text, match, soft_breaks):
            yield match.start("space")


def _stop_ends_sentence(text: str, match: re.Match[str], soft_breaks: Collection[int]) -> bool:
    space, after = match["space"], match.end()
    if after == len(text):
        return True
    if "\n" in space and _is_blank_line(space, match.start("space"), soft_breaks):
        return True
    following = _word_after(text, after)
    if not following:
        return True
    if following[0].islower():
        return False
    if match["stop"] != "." or match["close"]:
        return True
    before = _word_before(text, match.start())
    return not _is_abbreviation(text, match.start(), before, following)


def _is_abbreviation(text: str, stop: int, before: str, following: str) -> bool:
    """Whether the full stop at `stop` belongs to the word `before` it."""
    word = before.lower()
    if word in _ABBREVIATIONS:
        return True
    if before.isdigit() or (before[:1].isupper() and _ROMAN.fullmatch(before)) or len(before) == 1:
        if _begins_line(text, stop - len(before)):
            return True  # "1. Introduction", "IV. Of the Powers"
        if before.isdigit():
            return len(before) <= 2 and following in _MONTHS
    if len(before) == 1 and before.isalpha():
        return before.isupper() and following not in _STARTERS and before != "I"
    if word in _AMBIGUOUS or (len(before) >= 3 and before[1::2] == "." * (len(before) // 2)):
        return following not in _STARTERS
    return False


def _word_before(text: str, stop: int) -> str:
    """The word that ends at `stop`, inner full stops included ("e.g")."""
    window = text[max(0, stop - _WORD_WINDOW_CHARS) : stop]
    position = len(window)
    while position and (window[position - 1].isalnum() or window[position - 1] == "."):
        position -= 1
    return window[position:]


def _word_after(text: str, position: int) -> str:
    """The word that begins at `position`, opening quotes and brackets skipped; "" if there is none nearby."""
    window = text[position : position + _WORD_WINDOW_CHARS].lstrip(_OPENERS)
    for index, char in enumerate(window):
        if not char.isalnum():
            return window[:index] or window[:1]
    return window


def _begins_line(text: str, position: int) -> bool:
    """Whether nothing but spaces and an opening bracket stands before `position` on its line."""
    before = text[max(0, position - 8) : position].rstrip(" \t(")
    return before.endswith("\n") or (not before and position <= 8)


def _is_blank_line(space: str, offset: int, soft_breaks: Collection[int]) -> bool:
    first = space.find("\n")
    if space.count("\n") < 2:
        return False
    return not (space.count("\n") == 2 and offset + first in soft_breaks)


def _line_ends_sentence(text: str, start: int, end: int, soft_breaks: Collection[int]) -> bool:
    """Whether a line without a stop at its end is complete: heading, list item, table row, paragraph end."""
    if end == len(text) or _is_blank_line(text[start:end], start, soft_breaks):
        return True
    window = text[max(0, start - _LINE_WINDOW_CHARS) : start]
    line = window[window.rfind("\n") + 1 :]
    next_start = text.rfind("\n", start, end) + 1
    next_line = text[next_start : next_start + _LINE_WINDOW_CHARS].partition("\n")[0]
    if "\t" in line.strip() or _LIST_ITEM.match(next_line):
        return True
    first = next_line.lstrip(_OPENERS)[:1]
    if not (first.isupper() or first.isdigit() or unicodedata.category(first or " ") in ("Lo", "Sc")):
        return False
    if line.rstrip().endswith((",", ";", "-", "—", "–")):
        return False
    if _FIGURES_AT_END.search(line[-40:]):
        return True
    # A hard-wrapped line is as long as its neighbours, give or take a word; one that had room left was ended.
    length = len(line) + 1 + len(next_line.split(None, 1)[0])
    return length <= max(_SHORT_LINE_CHARS, 0.7 * max(len(line), len(next_line)))
