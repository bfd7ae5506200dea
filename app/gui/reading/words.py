"""Values as words for people, in their language and their way of writing numbers."""

import re

from PySide6.QtCore import QCoreApplication, QLocale

translate = QCoreApplication.translate
"""Called by this name with its context, so that the tools for translators find the texts."""

_PLACE = re.compile(r"%([1-9])")

_HIDDEN = {
    **{
        code: "\ufffd"
        for code in (*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000))
        if code not in (9, 10)
    },
    # Marks that only turn the order of what stands behind them, so that a quote could rewrite our words.
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), ""),
    0x0C: " ",
    0x0D: "",
    0x2028: "\n",
    0x2029: "\n",
}


def safe_text(text: str) -> str:
    """Text of a document or a model as it may be shown: no control characters, no overriding of direction."""
    return text.translate(_HIDDEN)


def one_line(text: str, most: int = 400) -> str:
    """The same on one line, and cut if it is long."""
    line = " ".join(safe_text(text[: most * 2]).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def fill(text: str, *values: str) -> str:
    """Put values in the places %1, %2, ... in one pass: a value may hold such a sign itself."""
    return _PLACE.sub(lambda match: values[int(match[1]) - 1], text)


def plural(count: int, one: str, many: str) -> str:
    """A counted thing.

    Args:
        count: how many.
        one: translated, for a single one: without a translation Qt knows no plurals, not even those of English.
        many: translated for this count, with %1 for the number.
    """
    return one if count == 1 else fill(many, number(count))


def number(value: float) -> str:
    """A whole number with the locale's groups."""
    return _locale().toString(round(value))


def _locale() -> QLocale:
    """The user's; the C locale is for programs, and has no groups."""
    locale = QLocale()
    return QLocale(QLocale.Language.English) if locale.language() == QLocale.Language.C else locale


def duration(seconds: float) -> str:
    """ "8 s", "4 min 05 s", "2 h 10 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return fill(translate("Reading", "%1 s"), number(whole))
    if whole < 3600:
        return fill(translate("Reading", "%1 min %2 s"), number(whole // 60), f"{whole % 60:02d}")
    return fill(translate("Reading", "%1 h %2 min"), number(whole // 3600), f"{whole % 3600 // 60:02d}")


def rough_duration(seconds: float) -> str:
    """As exact as an estimate deserves: "40 s", "4 min", "2 h 10 min"."""
    if seconds < 10:
        return duration(max(1, seconds))
    if seconds < 90:
        return duration(round(seconds / 5) * 5)
    if seconds < 3600:
        return fill(translate("Reading", "%1 min"), number(round(seconds / 60)))
    return duration(round(seconds / 60) * 60)


def clock(seconds: float) -> str:
    """ "2:10", "1:02:10"."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def size(num_bytes: float) -> str:
    """ "820 MB", "1.1 GB"."""
    decimals = 1 if num_bytes >= 1e9 else 0
    return _locale().formattedDataSize(round(num_bytes), decimals, QLocale.DataSizeFormat.DataSizeSIFormat)


def page_label(label: str, page: int) -> str:
    """ "p. 3", or "p. iv (7)" where the printed label is not the physical number."""
    label = one_line(label, 24)
    if label in ("", str(page)):
        return fill(translate("Reading", "p. %1"), str(page))
    return fill(translate("Reading", "p. %1 (%2)"), label, str(page))


def pages_label(labels: str) -> str:
    """ "page 3" or "pages 23–24", from the labels of a chunk."""
    labels = one_line(labels, 48)
    first, dash, last = labels.partition("-")
    if dash and first and last:
        return fill(translate("Reading", "pages %1–%2"), first, last)
    return fill(translate("Reading", "page %1"), labels)


def mode_name(mode: str) -> str:
    """A reading mode in plain words."""
    names = {
        "extractive": translate("Reading", "Collect sentences"),
        "gated": translate("Reading", "Summarise what matters"),
        "faithful": translate("Reading", "Rewrite at every step"),
        "parallel": translate("Reading", "Collect sentences, all at once"),
    }
    return names.get(mode, mode)


def outcome_name(outcome: str) -> str:
    """What a step did to the memory, in plain words."""
    names = {
        "updated": translate("Reading", "updated"),
        "unchanged": translate("Reading", "unchanged"),
        "kept after failure": translate("Reading", "kept after a failed reply"),
    }
    return names.get(outcome, outcome)
