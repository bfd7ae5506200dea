"""Commands about documents: search, count."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from app.cli import options
from engine.paths import data_dir, trace_database
from engine.traces.store import TraceStore


def search(
    text: Annotated[str, typer.Argument(help='Words that a page must hold; "words in quotes" are a phrase.')],
    limit: Annotated[int, typer.Option(min=1, help="Most pages to show.")] = 20,
    as_json: options.Json = False,
    data: options.DataDir = None,
) -> None:
    """Find pages in all documents that were ever read."""
    with TraceStore(trace_database(data_dir(data))) as store:
        hits = store.search(text, limit)
    if as_json:
        print(json.dumps([asdict(hit) for hit in hits], ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for hit in hits:
        console.print(Text.assemble((f"{hit.document}, page {hit.label}", "bold"), f": {hit.snippet}"))
    if not hits:
        console.print("Nothing found.")


def count(
    text: Annotated[str, typer.Argument(help="A word or phrase.")],
    parts: Annotated[bool, typer.Option("--parts", help="Count it inside longer words too.")] = False,
    as_json: options.Json = False,
    data: options.DataDir = None,
) -> None:
    """Count how often a word or phrase occurs, exactly, in all documents that were ever read."""
    with TraceStore(trace_database(data_dir(data))) as store:
        counts = store.count(text, whole_words=not parts)
    if as_json:
        rows = [{**asdict(found), "count": found.count} for found in counts]
        print(json.dumps({"text": text, "count": sum(found.count for found in counts), "documents": rows}))
        return
    console = Console(highlight=False, soft_wrap=True)
    total = sum(found.count for found in counts)
    console.print(f"{total:,} {'time' if total == 1 else 'times'}")
    for found in counts:
        pages = ", ".join(
            page.label + (f" (x{page.count})" if page.count > 1 else "") for page in found.pages[:20]
        )
        more = f" and {len(found.pages) - 20} more pages" if len(found.pages) > 20 else ""
        console.print(f"  {found.document}: {found.count:,}; pages {pages}{more}", markup=False)
