"""The history's values in words."""

import html
from datetime import datetime

from PySide6.QtCore import QCoreApplication, QDate, QLocale, QTime

from app.gui.history.values import Run, Status
from app.gui.reading.words import fill, mode_name, number, one_line, plural

translate = QCoreApplication.translate


def status_name(status: Status) -> str:
    """How a run stands, in a word."""
    return {
        "running": translate("History", "Running"),
        "interrupted": translate("History", "Interrupted"),
        "stopped": translate("History", "Stopped"),
        "finished": translate("History", "Finished"),
        "failed": translate("History", "Failed"),
    }[status]


def when(created_at: float, now: float) -> str:
    """ "just now", "12 minutes ago", "today, 09:15", "yesterday, 18:02", "Monday, 18:02", "3 March 2025"."""
    then, today = datetime.fromtimestamp(created_at), datetime.fromtimestamp(now)
    passed = now - created_at
    clock = QLocale().toString(QTime(then.hour, then.minute), QLocale.FormatType.ShortFormat)
    days = (today.date() - then.date()).days
    if 0 <= passed < 60:
        return translate("History", "just now")
    if 0 <= passed < 3600:
        return plural(
            int(passed // 60),
            translate("History", "1 minute ago"),
            translate("History", "%1 minutes ago", None, int(passed // 60)),
        )
    if days == 0:
        return fill(translate("History", "today, %1"), clock)
    if days == 1:
        return fill(translate("History", "yesterday, %1"), clock)
    date = QDate(then.year, then.month, then.day)
    if 1 < days < 7:
        return fill(translate("History", "%1, %2"), QLocale().dayName(date.dayOfWeek()), clock)
    return QLocale().toString(date, translate("History", "d MMM yyyy"))


def documents(run: Run) -> str:
    """ "report.pdf" or "report.pdf and 2 more"."""
    names = [one_line(name, 120) for _, name in run.documents]
    if len(names) <= 1:
        return names[0] if names else ""
    return fill(translate("History", "%1 and %2 more"), names[0], number(len(names) - 1))


def progress(run: Run) -> str:
    """ "Stopped at 12 of 61", "Finished"."""
    name = status_name(run.status)
    if run.status == "finished" or not run.chunks_total:
        return name
    done, total = number(run.chunks_done), number(run.chunks_total)
    if run.status == "running":
        return fill(translate("History", "%1, %2 of %3"), name, done, total)
    return fill(translate("History", "%1 at %2 of %3"), name, done, total)


def outcome(run: Run) -> str:
    """What came of it: the answer, the error, or how far it came."""
    if run.answer:
        return one_line(run.answer)
    if run.error:
        return one_line(run.error)
    return progress(run)


def tip(run: Run, now: float) -> str:
    """A tool tip; Qt takes it for rich text, so that everything is escaped."""
    names = [one_line(name, 120) for _, name in run.documents]
    lines = [
        f"<b>{html.escape(one_line(run.question, 600))}</b>",
        html.escape(", ".join(names[:6]) + ("…" if len(names) > 6 else "")),
        html.escape(f"{when(run.created_at, now)} · {one_line(run.model, 80)} · {mode_name(run.mode)}"),
        html.escape(progress(run)),
        html.escape(one_line(run.answer or run.error, 400)),
    ]
    return "<br>".join(line for line in lines if line)


def spoken(run: Run, now: float) -> str:
    """A line of the history for a screen reader."""
    parts = [one_line(run.question), progress(run), documents(run), when(run.created_at, now)]
    if run.answer:
        parts.append(one_line(run.answer))
    return ", ".join(part for part in parts if part)
