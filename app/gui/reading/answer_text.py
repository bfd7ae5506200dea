"""The answer and what it rests on as real text, for the eye and for the clipboard."""

from collections.abc import Sequence
from html import escape

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QTextBlockFormat, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QWidget

from app.gui.look import reading_font, tones
from app.gui.reading.parts import TextView
from app.gui.reading.values import Answer, Claim, DocumentInfo, Place
from app.gui.reading.words import one_line, page_label, safe_text, translate

_MOST_CHARACTERS = 40_000


class AnswerText(TextView):
    """The answer in a face for reading; statements without evidence are underlined and named below."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.setAccessibleName(self.tr("Answer"))

    def show_answer(self, answer: Answer) -> None:
        """Show the finished answer."""
        text = safe_text(answer.text[:_MOST_CHARACTERS])
        self.clear()
        cursor = QTextCursor(self.document())
        ordinary = self._format()
        at = 0
        for start, end in _unverified(text, answer.claims):
            cursor.insertText(text[at:start], ordinary)
            doubtful = self._format()
            doubtful.setUnderlineStyle(QTextCharFormat.UnderlineStyle.WaveUnderline)
            doubtful.setUnderlineColor(tones(self).warn)
            cursor.insertText(text[start:end], doubtful)
            at = end
        cursor.insertText(text[at:], ordinary)

    def show_stream(self, text: str) -> None:
        """Show what there is of an answer that is being written."""
        self.clear()
        QTextCursor(self.document()).insertText(safe_text(text[:_MOST_CHARACTERS]), self._format())

    def append_stream(self, piece: str) -> None:
        """Put a piece at the end."""
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        if self.document().characterCount() < _MOST_CHARACTERS:
            cursor.insertText(safe_text(piece), self._format())

    def _format(self) -> QTextCharFormat:
        made = QTextCharFormat()
        made.setFont(reading_font(self, 1.2))
        made.setForeground(tones(self).text)
        return made


class ClaimList(TextView):
    """The statements of an answer: the document's words with their page, or the answer's own, marked as unverified.

    Attributes:
        place_wanted: a `Place` whose page was clicked.
    """

    place_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.setAccessibleName(self.tr("Where the document says so"))
        self._places: list[Place] = []
        self.anchorClicked.connect(self._go)

    def show_claims(self, claims: Sequence[Claim], documents: Sequence[DocumentInfo]) -> None:
        """Show them in the answer's order; the same quote once."""
        self.clear()
        self._places = []
        cursor = QTextCursor(self.document())
        for place, claim in enumerate(dict.fromkeys(claims)):
            block = QTextBlockFormat()
            block.setTopMargin(10 if place else 0)
            if place:
                cursor.insertBlock(block)
            self._insert(cursor, claim, documents)

    def _insert(self, cursor: QTextCursor, claim: Claim, documents: Sequence[DocumentInfo]) -> None:
        tone = tones(self)
        quote = QTextCharFormat()
        quote.setFont(reading_font(self, 1.05))
        quote.setForeground(tone.text)
        text = one_line(claim.quote, 4000)
        cursor.insertText(f"“{text}”", quote)
        cursor.insertBlock(_close())
        if claim.place is None:
            cursor.insertText("⚠ " + self.tr("Not verified"), self.ink(tone.warn, bold=True, scale=0.95))
            says = self.tr("the answer says this, but no sentence of the document was found that does")
            cursor.insertText(f" · {says}", self.ink(tone.muted, scale=0.95))
            return
        cursor.insertText("✓ " + self.tr("Verified"), self.ink(tone.good, bold=True, scale=0.95))
        cursor.insertText(" · ", self.ink(tone.muted, scale=0.95))
        self._places.append(claim.place)
        line = page_label(claim.place.label, claim.place.page)
        cursor.insertText(line, self.ink(href=f"place:{len(self._places) - 1}", scale=0.95))
        if len(documents) > 1 and claim.place.document < len(documents):
            name = one_line(documents[claim.place.document].name, 80)
            cursor.insertText(f" · {name}", self.ink(tone.muted, scale=0.95))

    def _go(self, link: QUrl) -> None:
        self.place_wanted.emit(self._places[int(link.path())])


def _close() -> QTextBlockFormat:
    made = QTextBlockFormat()
    made.setTopMargin(2)
    return made


def _unverified(text: str, claims: Sequence[Claim]) -> list[tuple[int, int]]:
    """Where the unverified statements stand in the answer; they are its own sentences, word for word."""
    found: list[tuple[int, int]] = []
    at = 0
    for claim in claims:
        if claim.place is not None:
            continue
        own = safe_text(claim.quote)
        start = text.find(own, at)
        if own and start >= 0:
            found.append((start, start + len(own)))
            at = start + len(own)
    return found


def as_plain(question: str, answer: Answer, documents: Sequence[DocumentInfo]) -> str:
    """Question, answer and quotes as plain text."""
    lines = [question, "", answer.text]
    for claim in dict.fromkeys(answer.claims):
        lines += ["", f"“{claim.quote}”", f"— {_whence(claim, documents)}"]
    return "\n".join(lines) + "\n"


def as_html(question: str, answer: Answer, documents: Sequence[DocumentInfo]) -> str:
    """The same for what takes formatted text; everything is escaped."""
    parts = [f"<p><b>{escape(safe_text(question))}</b></p>", f"<p>{_breaks(answer.text)}</p>"]
    for claim in dict.fromkeys(answer.claims):
        parts.append(
            f"<blockquote>“{_breaks(claim.quote)}”<br>— {escape(_whence(claim, documents))}</blockquote>"
        )
    return "".join(parts)


def _breaks(text: str) -> str:
    return escape(safe_text(text)).replace("\n", "<br>")


def _whence(claim: Claim, documents: Sequence[DocumentInfo]) -> str:
    if claim.place is None:
        return translate("Reading", "not verified")
    name = documents[claim.place.document].name if claim.place.document < len(documents) else ""
    return f"{one_line(name, 200)}, {page_label(claim.place.label, claim.place.page)}"
