"""Markdown files: clean text without the markup, in sections that begin at headings of level 1 and 2."""

from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from engine.documents import markup
from engine.documents.markup import Block
from engine.documents.model import Document, PageDraft, lay_out
from engine.documents.source import Source


def read(source: Source) -> Document:
    """Read a Markdown file.

    Raises:
        UnsupportedFormatError: the file is binary.
    """
    tokens = MarkdownIt("commonmark").enable("table").parse(source.read_text())
    drafts, outline = markup.sections(_blocks(tokens), deepest=2)
    source.report(1, 1)
    return Document(
        name=source.path.name,
        path=source.path,
        format="markdown",
        kind="section",
        title=outline[0].title if outline and outline[0].level == 1 else "",
        pages=lay_out(drafts or [PageDraft(text="")]),
        outline=tuple(outline),
    )


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    """Blocks of text from the flat token stream of markdown-it."""
    level = 0
    numbers: list[int | None] = []
    prefix = ""
    tight = False
    cells: list[str] | None = None
    for token in tokens:
        kind = token.type
        if kind == "heading_open":
            level = int(token.tag[1:])
        elif kind == "heading_close":
            level = 0
        elif kind == "bullet_list_open":
            numbers.append(None)
        elif kind == "ordered_list_open":
            numbers.append(int(token.attrGet("start") or 1))
        elif kind in ("bullet_list_close", "ordered_list_close"):
            numbers.pop()
            tight = False
        elif kind == "list_item_open":
            number = numbers[-1]
            prefix = "- " if number is None else f"{number}. "
            numbers[-1] = None if number is None else number + 1
        elif kind == "tr_open":
            cells = []
        elif kind == "tr_close":
            yield Block(text="\t".join(cells or ()).rstrip(), is_tight=tight)
            cells, tight = None, True
        elif kind == "table_close":
            tight = False
        elif kind in ("fence", "code_block"):
            yield Block(text=token.content.rstrip("\n"))
        elif kind == "html_block":
            root = markup.parse_html(token.content.encode("utf-8"), encoding="utf-8")
            yield from markup.blocks(root) if root is not None else ()
        elif kind == "inline":
            text = _inline(token.children or ())
            if cells is not None:
                cells.append(text)
            elif text.strip():
                yield Block(text=prefix + text, level=level, is_tight=tight and bool(prefix))
                tight = bool(prefix) or bool(numbers)
                prefix = ""


def _inline(children: Sequence[Token]) -> str:
    """Text of a paragraph: of links their text, of images the description."""
    pieces: list[str] = []
    for child in children:
        if child.type in ("text", "code_inline", "text_special", "image"):
            pieces.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            pieces.append("\n")
        elif child.type == "html_inline" and child.content.lower().startswith("<br"):
            pieces.append("\n")
    return "".join(pieces).strip()
