"""What the library asks the trace store. Runs on the store's thread."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.gui.library.values import Entry, Found, PageHit, Tally
from engine.errors import RunOwnedError, StoreError

if TYPE_CHECKING:
    from engine.traces.store import TraceStore

MAX_HITS = 100
_COUNT_SLICE_S = 0.1
"""A count over a large library is cut in slices, so that a search typed meanwhile need not wait for its end."""


def load_entries(store: "TraceStore") -> tuple[Entry, ...]:
    """All stored documents, the newest first."""
    uses = store.document_uses()
    entries = []
    for row in store.list_documents():
        use = uses.get(row.content_hash)
        imported = row.imported_at.timestamp()
        entries.append(
            Entry(
                key=row.content_hash,
                name=row.name,
                path=str(row.path),
                content_hash=row.content_hash,
                format=row.format,
                kind=row.kind,
                num_pages=row.num_pages,
                num_tokens=row.num_tokens,
                size_bytes=row.size_bytes,
                modified_at=row.modified_at,
                num_runs=use.num_runs if use else 0,
                used_at=max(imported, use.last_used_at.timestamp()) if use else imported,
            )
        )
    return tuple(entries)


def search_pages(store: "TraceStore", query: str) -> Found:
    """Pages that hold all words of what was typed."""
    hits = store.search(query, MAX_HITS + 1)
    shown = tuple(
        PageHit(
            content_hash=hit.content_hash,
            document=hit.document,
            page=hit.page,
            label=hit.label,
            heading=hit.heading,
            snippet=hit.snippet,
        )
        for hit in hits[:MAX_HITS]
    )
    return Found(query=query, hits=shown, is_cut=len(hits) > MAX_HITS)


def count_on(store: "TraceStore", query: str, so_far: Tally) -> Tally:
    """Count in a few more documents, exactly; see `engine.traces.counting.count`."""
    times, pages, documents = so_far.times, so_far.pages, so_far.documents
    remaining = list(reversed(so_far.remaining))
    until = time.monotonic() + _COUNT_SLICE_S
    while remaining:
        for found in store.count(phrase_of(query), content_hash=remaining.pop()):
            times += found.count
            pages += len(found.pages)
            documents += 1
        if time.monotonic() > until:
            break
    return Tally(times=times, pages=pages, documents=documents, remaining=tuple(reversed(remaining)))


def phrase_of(query: str) -> str:
    """What is counted of what was typed: all of it, without the quotation marks."""
    return " ".join(query.replace('"', " ").split())


def remove_documents(store: "TraceStore", content_hashes: Sequence[str], with_runs: bool) -> tuple[str, ...]:
    """Delete documents, and if wanted the runs that read them; returns the ids of these runs.

    Raises:
        engine.errors.StoreError: a run has read one of them and is to stay.
        engine.errors.RunOwnedError: one of them is being read right now.
    """
    wanted = set(content_hashes)
    heads = [head for head in store.list_heads() if any(each in wanted for each, _ in head.documents)]
    # Looked at before anything is deleted: half a removal would be worse than none.
    if any(head.status == "running" for head in heads):
        raise RunOwnedError("One of these documents is being read right now.", hint="Stop the reading first.")
    if heads and not with_runs:
        raise StoreError("Readings have used one of these documents.", hint="Delete these readings as well.")
    for head in heads:
        store.delete_run(head.run_id)
    for content_hash in content_hashes:
        store.delete_document(content_hash)
    return tuple(head.run_id for head in heads)
