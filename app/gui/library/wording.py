"""The library's values in words."""

import html

from PySide6.QtCore import QCoreApplication

from app.gui.library.values import Entry, Found, State, Tally
from app.gui.reading.words import fill, number, one_line, plural, size

translate = QCoreApplication.translate

FORMAT_NAMES = {"pdf": "PDF", "epub": "EPUB", "html": "HTML", "markdown": "Markdown", "text": "Text"}


def extent(entry: Entry) -> str:
    """ "121 pages" or "14 sections"."""
    if entry.kind == "page":
        return plural(
            entry.num_pages,
            translate("Library", "1 page"),
            translate("Library", "%1 pages", None, entry.num_pages),
        )
    return plural(
        entry.num_pages,
        translate("Library", "1 section"),
        translate("Library", "%1 sections", None, entry.num_pages),
    )


def facts(entry: Entry) -> list[str]:
    """What the second line says, the most important first."""
    found = [extent(entry)]
    if entry.num_tokens is not None:
        found.append(
            plural(
                entry.num_tokens,
                translate("Library", "1 token"),
                translate("Library", "%1 tokens", None, entry.num_tokens),
            )
        )
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
            return translate("Library", "Opening…")
        return fill(translate("Library", "Taking in, %1 %"), number(100 * entry.fraction))
    if entry.state is State.READING:
        if entry.fraction is None:
            return translate("Library", "Being read")
        return fill(translate("Library", "Being read, %1 %"), number(100 * entry.fraction))
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
            lines.append(
                html.escape(
                    plural(
                        entry.num_runs,
                        translate("Library", "Read 1 time"),
                        translate("Library", "Read %1 times", None, entry.num_runs),
                    )
                )
            )
    return "<br>".join(line for line in lines if line)


def spoken(entry: Entry, *, is_chosen: bool) -> str:
    """A line of the library for a screen reader."""
    parts = [one_line(entry.name), state_line(entry)]
    if entry.problem is not None and entry.problem.hint:
        parts.append(one_line(entry.problem.hint))
    if is_chosen:
        parts.append(translate("Library", "chosen for the next reading"))
    return ", ".join(parts)


def tally_line(tally: Tally, found: Found | None, phrase: str) -> str:
    """ "37 times on 12 pages", while it is counted "at least ..."."""
    if tally.times == 0:
        if tally.remaining:
            return translate("Library", "Counting…")
        if found is None or not found.hits:
            return translate("Library", "Nowhere in the library.")
        if " " in phrase:
            return translate("Library", "Never in exactly these words. These pages hold all of them:")
        return translate("Library", "Never as a whole word. These pages hold words that begin so:")
    times = plural(
        tally.times, translate("Library", "1 time"), translate("Library", "%1 times", None, tally.times)
    )
    pages = plural(
        tally.pages, translate("Library", "1 page"), translate("Library", "%1 pages", None, tally.pages)
    )
    line = fill(translate("Library", "%1 on %2"), times, pages)
    if tally.documents > 1:
        line = fill(translate("Library", "%1 in %2 documents"), line, number(tally.documents))
    return fill(translate("Library", "%1 so far…"), line) if tally.remaining else line
