"""HTML files: the visible text, in sections that begin at h1 to h3."""

import re

from engine.documents import markup
from engine.documents.model import Document, PageDraft, lay_out
from engine.documents.source import Source, clean, decode
from engine.errors import CorruptDocumentError

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)


def read(source: Source) -> Document:
    """Read an HTML file.

    Raises:
        CorruptDocumentError: there is no HTML in it.
        UnsupportedFormatError: it is binary.
    """
    text = clean(_decode(source.read_bytes(), source.path.name))
    root = markup.parse_html(text.encode("utf-8"), encoding="utf-8")
    if root is None:
        raise CorruptDocumentError(f"{source.path.name} is empty or nested too deeply.")
    title = root.findtext(".//head/title") or ""
    drafts, outline = markup.sections(markup.blocks(root), deepest=3)
    source.report(1, 1)
    return Document(
        name=source.path.name,
        path=source.path,
        format="html",
        kind="section",
        title=markup.one_line(title),
        pages=lay_out(drafts or [PageDraft(text="")]),
        outline=tuple(outline),
    )


def _decode(data: bytes, name: str) -> str:
    """By the encoding that the file declares, unless that is wrong or missing."""
    declared = _META_CHARSET.search(data, 0, 4096)
    if declared and not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode(declared[1].decode("ascii"))
        except (LookupError, UnicodeError):
            pass
    return decode(data, name)
