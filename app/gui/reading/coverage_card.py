"""The coverage certificate: which pages were read, which were not and why, and how well that is known."""

from collections.abc import Sequence

from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QFrame, QLabel, QWidget

from app.gui.icons import icon
from app.gui.look import set_role
from app.gui.reading.parts import Section, TextView, column, label, row
from app.gui.reading.values import Coverage, Gap
from app.gui.reading.words import fill, number, one_line, page_label, plural, translate

_MOST_GAPS = 2000
_NO_TEXT = "no text on this page"
"""The engine's words for a page that holds nothing to read."""


class CoverageCard(QFrame):
    """A certificate as a card."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._icon = QLabel()
        self._icon.setFixedSize(20, 20)
        self._says = label("", "heading")
        self._basis = label("", "caption")
        self._other = label("", "")
        self._gaps = TextView(200)
        self._gaps.setAccessibleName(self.tr("Pages that were not read"))
        self._more = Section("", self._gaps)
        self._more.set_open(False)
        layout = column(self, margin=12, spacing=4)
        layout.addLayout(row(self._icon, self._says))
        layout.addWidget(self._basis)
        layout.addWidget(self._other)
        layout.addWidget(self._more)

    def show_coverage(self, coverage: Coverage) -> None:
        """Show a certificate."""
        self._icon.setPixmap(self._picture(coverage).pixmap(20, 20))
        self._says.setText(headline(coverage))
        self._basis.setText(basis(coverage))
        self._other.setVisible(bool(coverage.read_for))
        self._other.setText(
            fill(
                translate(
                    "Reading",
                    "It was read for the question “%1”: this answer rests on what that reading kept.",
                ),
                one_line(coverage.read_for, 300),
            )
        )
        gaps = coverage.skipped
        self._more.setVisible(bool(gaps))
        self._more.set_title(
            plural(
                len(gaps),
                translate("Reading", "Which page"),
                translate("Reading", "Which %1 pages", None, len(gaps)),
            )
        )
        self._more.set_open(False)
        several = len({gap.document for gap in gaps}) > 1
        self._gaps.setPlainText("\n".join(_line(gap, several=several) for gap in gaps[:_MOST_GAPS]))

    def _picture(self, coverage: Coverage) -> QIcon:
        return icon("check" if coverage.is_complete else "warning")


def headline(coverage: Coverage) -> str:
    """ "All 121 pages were read", or how many were not."""
    blank = sum(gap.reason == _NO_TEXT for gap in coverage.skipped)
    missing = len(coverage.skipped) - blank
    if not missing and not blank:
        return plural(
            coverage.pages,
            translate("Reading", "The only page was read"),
            translate("Reading", "All %1 pages were read", None, coverage.pages),
        )
    parts = [
        fill(
            translate("Reading", "%1 of %2 pages were read"),
            number(coverage.pages_read),
            number(coverage.pages),
        )
    ]
    if blank:
        parts.append(
            plural(
                blank,
                translate("Reading", "1 holds no text"),
                translate("Reading", "%1 hold no text", None, blank),
            )
        )
    if missing:
        parts.append(
            plural(
                missing,
                translate("Reading", "1 was not read"),
                translate("Reading", "%1 were not read", None, missing),
            )
        )
    return "; ".join(parts)


def basis(coverage: Coverage) -> str:
    """How that is known."""
    tokens = fill(
        translate("Reading", "%1 of %2 tokens of text reached the model"),
        number(coverage.tokens_read),
        number(coverage.tokens),
    )
    if coverage.is_proven:
        return tokens + ": " + translate("Reading", "proven, by the very tokens that it was given.")
    return (
        tokens
        + ": "
        + translate("Reading", "counted by the server, which proves less than the tokens themselves.")
    )


def _line(gap: Gap, *, several: bool) -> str:
    place = page_label(gap.label, gap.page)
    if several:
        place = f"{one_line(gap.document, 60)}, {place}"
    reason = translate("Reading", "holds no text") if gap.reason == _NO_TEXT else one_line(gap.reason, 200)
    return f"{place}: {reason}"


def incident_lines(incidents: Sequence[tuple[str, str, str]]) -> str:
    """Incidents given as place, kind and detail, each on one line."""
    return "\n".join(
        f"{place} · {one_line(kind, 60)}: {one_line(detail, 300)}" for place, kind, detail in incidents
    )
