"""Prompts and replies, deflated against what the database holds anyway.

The dictionary of a prompt is the run's wording (the first prompt's own text), the memory that it shows and
the slice of the document that its chunk covers; that of a reply is the wording and the memory after it. All
three can be read again, so that a call decodes to the very bytes; its hash proves it.
"""

import zlib
from dataclasses import dataclass

from sqlite_utils import Database

from engine.agent.events import CallFinished
from engine.agent.memory import Memory
from engine.backends.base import Prompt
from engine.traces.codec import deflate, digest, frame, inflate, to_bytes, to_text, unframe
from engine.traces.database import Row, damaged, fetch_one, path_of
from engine.traces.library import SliceReader
from engine.traces.texts import get_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the calls about one chunk, or the final ones, are deflated against.

    Attributes:
        wording: the parts of the run's first prompt that are not data.
        before: JSON of the memory before.
        after: JSON of the memory after.
        section: the document's text that the chunk covers.
    """

    wording: str
    before: str
    after: str
    section: str

    @property
    def prompt_dictionary(self) -> bytes:
        """The section stands last: it is the longest match, and deflate sees 32 KiB only."""
        return to_bytes(self.wording + self.before + self.section)

    @property
    def reply_dictionary(self) -> bytes:
        """See the module."""
        return to_bytes(self.wording + self.after)


def wording_of(prompt: Prompt) -> str:
    """The parts of a prompt that are not data."""
    return "".join(piece.text for piece in prompt if not piece.is_data)


def encode_call(event: CallFinished, context: Context) -> Row:
    """Columns of a row of `calls`; run, sequence and chunk are the caller's."""
    prompt, reply = frame(event.prompt), to_bytes(event.completion.text)
    return {
        "purpose": str(event.purpose),
        "attempt": event.attempt,
        "prompt_hash_blob": digest(prompt),
        "prompt_blob": deflate(prompt, context.prompt_dictionary),
        "reply_hash_blob": digest(reply),
        "reply_blob": deflate(reply, context.reply_dictionary),
        "prompt_tokens": len(event.completion.prompt_token_ids),
        "completion_tokens": len(event.completion.token_ids),
        "cached_tokens": event.completion.cached_tokens,
        "prefill_s": event.completion.prefill_s,
        "decode_s": event.completion.decode_s,
        "finish_reason": event.completion.finish_reason,
    }


def decode_call(row: Row, context: Context) -> tuple[Prompt, str]:
    """Prompt and reply of a row of `calls`.

    Raises:
        ValueError: the bytes are damaged.
    """
    try:
        prompt = inflate(row["prompt_blob"], context.prompt_dictionary)
        reply = inflate(row["reply_blob"], context.reply_dictionary)
    except zlib.error as exc:
        raise ValueError("the bytes cannot be decompressed") from exc
    if digest(prompt) != row["prompt_hash_blob"] or digest(reply) != row["reply_hash_blob"]:
        raise ValueError("bytes and hash differ")
    return unframe(prompt), to_text(reply)


class ContextReader:
    """Finds the contexts of a run's stored calls.

    Args:
        db: the database.
        run: internal id of the run.

    Attributes:
        wording: see `Context`; "" until the first prompt is stored.
    """

    def __init__(self, db: Database, run: int) -> None:
        self._db = db
        self._run = run
        self._slices = SliceReader(db)
        row = fetch_one(db, "SELECT wording_id FROM runs WHERE id = ?", (run,))
        wording_id = row["wording_id"] if row else None
        self.wording = "" if wording_id is None else get_text(db, wording_id)

    def section(self, chunk_index: int) -> str:
        """The document's text that a chunk covers."""
        row = fetch_one(
            self._db,
            """SELECT d.document_id, c.start, c."end" FROM chunks AS c
               JOIN run_documents AS d ON d.run = c.run AND d.position = c.document
               WHERE c.run = ? AND c.chunk_index = ?""",
            (self._run, chunk_index),
        )
        return "" if row is None else self._slices.read(row["document_id"], row["start"], row["end"])

    def during(self, chunk_index: int, before: Memory, after: Memory) -> Context:
        """The context of the calls about a chunk that is being stored."""
        return Context(
            wording=self.wording,
            before=before.to_json(),
            after=after.to_json(),
            section=self.section(chunk_index),
        )

    def read(self, chunk_index: int | None) -> Context:
        """The context of the calls about a chunk, or, for None, of the final ones.

        Raises:
            StoreCorruptError: a text that it needs is damaged.
        """
        if chunk_index is None:
            memory = last_memory(self._db, self._run)
            return Context(wording=self.wording, before=memory, after=memory, section="")
        row = fetch_one(
            self._db,
            "SELECT memory_before_id, memory_after_id FROM steps WHERE run = ? AND chunk_index = ?",
            (self._run, chunk_index),
        )
        if row is None:
            raise damaged(path_of(self._db))
        return Context(
            wording=self.wording,
            before=get_text(self._db, row["memory_before_id"]),
            after=get_text(self._db, row["memory_after_id"]),
            section=self.section(chunk_index),
        )


def last_memory(db: Database, run: int) -> str:
    """JSON of the memory with which a run goes on: after its last step, else the one it started with."""
    row = fetch_one(
        db,
        """SELECT memory_after_id AS id, chunk_index FROM steps
           WHERE run = ? ORDER BY chunk_index DESC LIMIT 1""",
        (run,),
    )
    start = fetch_one(db, "SELECT start_memory_id AS id, start_chunk FROM runs WHERE id = ?", (run,))
    assert start is not None
    # The steps before `start_chunk` were copied from another run; the memory may have been edited since.
    own = row is not None and row["chunk_index"] >= start["start_chunk"]
    return get_text(db, row["id"] if row is not None and own else start["id"])
