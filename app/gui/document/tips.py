"""Tooltips of text that came from a document: never taken for markup, however it looks."""

from html import escape


def plain_tip(text: str) -> str:
    """A tooltip that shows `text` as it is, wrapped where it is long; "" for no text."""
    return f"<p style='white-space: pre-wrap'>{escape(text)}</p>" if text else ""
