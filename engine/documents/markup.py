"""HTML and XHTML to readable text, shared by the HTML and the EPUB reader.

Parsers here never load a DTD, expand an entity or open a connection, and the tree is walked without
recursion: markup comes from strangers.
"""

import html.entities
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree

from engine.documents.model import OutlineEntry, PageDraft

_BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol p pre "
    "section summary table tbody tfoot thead tr ul text".split()
)
_TIGHT = frozenset("li dt dd tr".split())
_GROUPS = frozenset("ol ul dl table".split())
_DROPPED = frozenset(
    "script style template head iframe object embed applet canvas audio video select datalist textarea "
    "button rt rp annotation annotation-xml metadata noembed noframes".split()
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\n\r\f]+")
_NAMED_ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9]{1,31});")
_XML_ENTITIES = frozenset((b"amp", b"lt", b"gt", b"quot", b"apos"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A paragraph, heading, list item, table row or piece of preformatted text.

    Attributes:
        text: its text; table cells are separated by tabs, <br> is a newline.
        level: 1-6 for a heading, else 0.
        is_tight: follows the block before it on the next line instead of after a blank line.
    """

    text: str
    level: int = 0
    is_tight: bool = False


def parse_xml(data: bytes) -> Any:
    """Root element of an XML file, as far as it could be read; None if there is none."""
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None


def parse_xhtml(data: bytes) -> Any:
    """Root element of a content document: as XML if well-formed, else as HTML; None if there is none."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(_NAMED_ENTITY.sub(_character, data), parser)
    except (etree.XMLSyntaxError, ValueError):
        return parse_html(data)


def parse_html(data: bytes, encoding: str | None = None) -> Any:
    """Root element of an HTML file; None if there is none or it is nested too deeply to be read whole.

    The limits that `huge_tree` lifts (10 MB of text in a row, 256 levels) would drop text without a word;
    HTML has no entities to blow up, and the size of the file is limited where it is read.
    """
    parser = etree.HTMLParser(encoding=encoding, no_network=True, huge_tree=True, remove_pis=True)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    is_cut = any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log)
    return None if is_cut else root


def _character(match: re.Match[bytes]) -> bytes:
    """HTML's named characters, which XML does not know without the DTD that is never loaded."""
    if match[1] in _XML_ENTITIES:
        return match[0]
    text = html.entities.html5.get(match[1].decode("ascii") + ";")
    return "".join(f"&#{ord(char)};" for char in text).encode("ascii") if text else match[0]


def local_name(element: Any) -> str:
    """Tag without namespace, lower case; "" for comments and the like."""
    tag = element.tag
    return tag.rpartition("}")[2].lower() if isinstance(tag, str) else ""


def blocks(root: Any) -> list[Block]:
    """The visible text under `root`, block by block, in document order."""
    builder = _Builder()
    walker = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, element in walker:
        name = local_name(element)
        if event == "start":
            if name in _DROPPED or _is_hidden(element):
                walker.skip_subtree()
                builder.skipped = element
                continue
            builder.open(name, element)
            builder.add(element.text)
        elif event == "end":
            if builder.skipped is element:
                builder.skipped = None
            else:
                builder.close(name)
            if element is not root:
                builder.add(element.tail)
        elif element is not root:
            builder.add(element.tail)
    builder.flush()
    return builder.blocks


def _is_hidden(element: Any) -> bool:
    style = element.get("style")
    return element.get("hidden") is not None or bool(style and _HIDDEN_STYLE.search(style))


class _Builder:
    """Collects text into blocks while the tree is walked."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.skipped: Any = None
        self._pieces: list[str] = []
        self._level = 0
        self._tight = False
        self._pre = 0
        self._prefix = ""
        self._groups = 0  # open lists and tables
        self._is_first = False
        self._lists: list[int | None] = []  # the next number of each open list, None for bullets

    def add(self, text: str | None) -> None:
        if text:
            self._pieces.append(text if self._pre else _SPACES.sub(" ", text))

    def open(self, name: str, element: Any) -> None:
        if name == "br":
            self._pieces.append("\n")
        elif name in ("td", "th"):
            if self._pieces:
                self._pieces.append("\t")
        elif name in _BLOCKS:
            self.flush()
            self._level = _HEADINGS.get(name, 0)
            self._tight = self._tight or name in _TIGHT
            self._pre += name == "pre"
            if name in _GROUPS:
                self._groups += 1
                self._is_first = self._is_first or self._groups == 1
            if name == "ol":
                start = element.get("start", "1")
                self._lists.append(int(start) if start.isdecimal() and len(start) < 9 else 1)
            elif name == "ul":
                self._lists.append(None)
            elif name == "li":
                self._prefix = self._bullet()

    def close(self, name: str) -> None:
        if name not in _BLOCKS:
            return
        self.flush()
        self._level = 0
        self._pre -= name == "pre"
        if name in _GROUPS:
            self._groups -= 1
            self._tight = False
        if name in ("ol", "ul") and self._lists:
            self._lists.pop()
        elif name == "li":
            self._prefix = ""

    def flush(self) -> None:
        """End the block."""
        raw = "".join(self._pieces)
        self._pieces.clear()
        text = raw.strip("\n") if self._pre else _tidy(raw)
        if not text.strip():
            return
        # The first item of a list and the first row of a table stand after a blank line, like a paragraph.
        is_tight = self._tight and not self._is_first
        self.blocks.append(Block(text=self._prefix + text, level=self._level, is_tight=is_tight))
        self._prefix = ""
        self._tight = self._is_first = False

    def _bullet(self) -> str:
        if not self._lists or self._lists[-1] is None:
            return "- "
        number = self._lists[-1]
        self._lists[-1] = number + 1
        return f"{number}. "


def _tidy(text: str) -> str:
    """Single spaces; none around line ends and tabs."""
    text = re.sub(r" {2,}", " ", text)
    return re.sub(r" ?([\n\t]) ?", r"\1", text).strip(" \n\t")


def join(parts: Iterable[Block]) -> str:
    """Text of some blocks."""
    pieces: list[str] = []
    for block in parts:
        if pieces:
            pieces.append("\n" if block.is_tight else "\n\n")
        pieces.append(block.text)
    return "".join(pieces)


def sections(parts: Iterable[Block], *, deepest: int) -> tuple[list[PageDraft], list[OutlineEntry]]:
    """Divide blocks at headings.

    Args:
        parts: blocks in document order.
        deepest: headings down to this level begin a section.
    """
    drafts: list[PageDraft] = []
    outline: list[OutlineEntry] = []
    for group in _groups(parts, deepest):
        first = group[0]
        heading = one_line(first.text) if 0 < first.level <= deepest else ""
        if heading:
            outline.append(OutlineEntry(title=heading, level=first.level, page_number=len(drafts) + 1))
        drafts.append(PageDraft(text=join(group), heading=heading))
    return drafts, outline


def _groups(parts: Iterable[Block], deepest: int) -> Iterator[list[Block]]:
    group: list[Block] = []
    for block in parts:
        if 0 < block.level <= deepest and group:
            yield group
            group = []
        group.append(block)
    if group:
        yield group


def one_line(text: str) -> str:
    """A heading's text on one line, cut at 200 characters."""
    return " ".join(text.split())[:200]
