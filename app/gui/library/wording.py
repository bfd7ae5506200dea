"""The library's values in words."""

import html

from PySide6.QtCore import QCoreApplication

from app.gui.library.values import Entry, Found, State, Tally
from app.gui.reading.words import fill, number, one_line, size

FORMAT_NAMES = {"pdf": "PDF", "epub": "EPUB", "html": "HTML", "markdown": "Markdown", "text": "Text"}


def say(text: str, *values: str) -> str:
    """Translate, then put values in the places %1, %2, ..."""
    return fill(QCoreApplication.translate("Library", text), *values)


def counted(count: int, one: str, many: str) -> str:
    """A counted thing in words; %1 is the number."""
    text = QCoreApplication.translate("Library", one if count == 1 else many, None, count)
    return fill(text, number(count))


def extent(entry: Entry) -> str:
    """ "121 pages" or "14 sections"."""
    if entry.kind == "page":
        return counted(entry.num_pages, "%1 page", "%1 pages")
    return counted(entry.num_pages, "%1 section", "%1 sections")


def facts(entry: Entry) -> list[str]:
    """What the second line says, the most important first."""
    found = [extent(entry)]
    if entry.num_tokens is not None:
        found.append(counted(entry.num_tokens, "%1 token", "%1 tokens"))
    found.append(format_name(entry.format))
    if entry.size_bytes is not None:
        found.append(size(entry.size_bytes))
    return found


def format_name(name: str) -> str:
    """A format as people call it."""
    return FORMAT_NAMES.get(name, name.upper())


def state_line(entry: Entry) -> str:
    """The second line of what is not simply ready."""
    if entry.state is State.IMPORTING:
        if entry.fraction is None:
            return say("Opening…")
        return say("Taking in, %1 %", number(100 * entry.fraction))
    if entry.state is State.READING:
        if entry.fraction is None:
            return say("Being read")
        return say("Being read, %1 %", number(100 * entry.fraction))
    if entry.state is State.FAILED and entry.problem is not None:
        return one_line(entry.problem.message)
    return " · ".join(facts(entry))


def tip(entry: Entry) -> str:
    """A tool tip; Qt takes it for rich text, so that names are escaped."""
    lines = [f"<b>{html.escape(one_line(entry.name))}</b>", html.escape(one_line(entry.path, 600))]
    if entry.problem is not None:
        lines += [html.escape(one_line(entry.problem.message)), html.escape(one_line(entry.problem.hint))]
    elif entry.is_stored:
        lines.append(html.escape(" · ".join(facts(entry))))
        if entry.num_runs:
            lines.append(html.escape(counted(entry.num_runs, "Read %1 time", "Read %1 times")))
    return "<br>".join(line for line in lines if line)


def spoken(entry: Entry, *, is_chosen: bool) -> str:
    """A line of the library for a screen reader."""
    parts = [one_line(entry.name), state_line(entry)]
    if entry.problem is not None and entry.problem.hint:
        parts.append(one_line(entry.problem.hint))
    if is_chosen:
        parts.append(say("chosen for the next reading"))
    return ", ".join(parts)


def tally_line(tally: Tally, found: Found | None, phrase: str) -> str:
    """ "37 times on 12 pages", while it is counted "at least ..."."""
    if tally.times == 0:
        if tally.remaining:
            return say("Counting…")
        if found is None or not found.hits:
            return say("Nowhere in the library.")
        if " " in phrase:
            return say("Never in exactly these words. These pages hold all of them:")
        return say("Never as a whole word. These pages hold words that begin so:")
    times = counted(tally.times, "%1 time", "%1 times")
    pages = counted(tally.pages, "%1 page", "%1 pages")
    line = say("%1 on %2", times, pages)
    if tally.documents > 1:
        line = say("%1 in %2 documents", line, number(tally.documents))
    return say("%1 so far…", line) if tally.remaining else line
