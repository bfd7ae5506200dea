"""Streams: nothing numbered is lost or comes twice, however late or slow the client is; ends are told."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from app.server.readings import Reading
from app.server.streams import EventStream, Write, follow_reading, follow_trace
from app.wire import StreamEvent, record_to_event
from engine.agent.events import AnswerFinished, ChunkFinished, Transient
from engine.errors import StoreBusyError
from engine.traces.store import TraceStore
from tests.traces.synthetic import MODEL, make_chunks, make_document, make_spec, records

LAST = StreamEvent(name="result", data={}, is_last=True)


class Reader(threading.Thread):
    """Reads a synthetic document as the worker thread does: the store first, then the feed.

    Attributes:
        num_numbered: numbered events that it published.
    """

    def __init__(self, path: Path, *, num_pages: int, pause_s: float = 0.0) -> None:
        super().__init__()
        self.reading = Reading("?", ())
        self.num_numbered = 0
        self._path = path
        self._num_pages = num_pages
        self._pause_s = pause_s

    def run(self) -> None:
        document = make_document(self._num_pages)
        chunks = make_chunks([document])
        pause = threading.Event()
        with (
            TraceStore(self._path) as store,
            store.create_run(make_spec([document], chunks), [document], chunks, model=MODEL) as writer,
        ):
            self.reading.run_id = writer.run_id
            for record in records(writer.run_id, [document], chunks):
                writer.observe(record)
                event = record_to_event(record, [document.name])
                self.num_numbered += not isinstance(record.event, Transient)
                commits = isinstance(record.event, ChunkFinished | AnswerFinished)
                self.reading.feed.publish(event, commits=commits)
                pause.wait(self._pause_s)
            writer.finish("finished")
        self.reading.feed.close(LAST)


def parse(written: list[bytes]) -> tuple[list[int], list[str]]:
    """Numbers of the numbered events, and names of all."""
    numbers, names = [], []
    for block in b"".join(written).decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            names.append(fields["event"])
        if "id" in fields:
            assert json.loads(fields["data"])["sequence"] == int(fields["id"])
            numbers.append(int(fields["id"]))
    return numbers, names


def test_a_client_that_stalls_misses_nothing_numbered(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "traces.db", num_pages=300)
    written: list[bytes] = []

    async def stalling(data: bytes) -> None:
        written.append(data)
        if len(written) == 3:
            await asyncio.to_thread(reader.join)

    async def scene() -> None:
        subscription = reader.reading.feed.subscribe()
        reader.start()
        await follow_reading(
            reader.reading, stalling, database=tmp_path / "traces.db", subscription=subscription
        )
        assert subscription.is_behind, "the client was not slow enough for this test"

    asyncio.run(scene())
    numbers, names = parse(written)
    assert numbers == list(range(reader.num_numbered))
    assert len(numbers) > 600
    assert names[-1] == "result"
    assert names.count("result") == 1


def test_clients_that_come_at_any_time_get_all_numbers_once(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "traces.db", num_pages=60, pause_s=0.002)

    async def follow(delay_s: float, after: int) -> tuple[list[int], list[str]]:
        written: list[bytes] = []

        async def write(data: bytes) -> None:
            written.append(data)

        await asyncio.sleep(delay_s)
        await follow_reading(reader.reading, write, database=tmp_path / "traces.db", after=after)
        return parse(written)

    async def scene() -> list[tuple[list[int], list[str]]]:
        reader.start()
        return await asyncio.gather(*(follow(0.13 * turn, after) for turn in range(12) for after in (-1, 30)))

    for turn, (numbers, names) in enumerate(asyncio.run(scene())):
        assert numbers == list(range(31 if turn % 2 else 0, reader.num_numbered)), turn
        assert names[-1] == "result"
    reader.join()


@pytest.mark.parametrize("turns", range(6))
def test_a_stream_ends_when_it_is_cancelled_while_an_event_arrives(tmp_path: Path, turns: int) -> None:
    async def scene() -> bool:
        reading = Reading("?", ())

        async def write(data: bytes) -> None:
            await asyncio.sleep(0)

        following = asyncio.create_task(
            follow_reading(
                reading, write, database=tmp_path / "none.db", subscription=reading.feed.subscribe()
            )
        )
        await asyncio.sleep(0.01)
        reading.feed.set_state(StreamEvent(name="progress", data={}))
        for _ in range(turns):  # from before the event is taken up until after it is written
            await asyncio.sleep(0)
        following.cancel()
        done, _ = await asyncio.wait({following}, timeout=1)
        following.cancel()
        return following in done

    assert asyncio.run(scene())


def test_a_run_that_nobody_reads_is_told_as_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    document = make_document()
    chunks = make_chunks([document])
    with TraceStore(path) as store:
        ends: dict[str, str] = {}
        for end in ("stopped", "failed"):
            with store.create_run(make_spec([document], chunks), [document], chunks, model=MODEL) as writer:
                writer.finish(end, "The model went away." if end == "failed" else None)
            ends[writer.run_id] = end

    async def scene(run_id: str) -> dict[str, Any]:
        written: list[bytes] = []

        async def write(data: bytes) -> None:
            written.append(data)

        await follow_trace(path, run_id, write)
        head, data, *_ = written[-1].decode().split("\n")
        return {"name": head.removeprefix("event: "), **json.loads(data.removeprefix("data: "))}

    for run_id, end in ends.items():
        last = asyncio.run(scene(run_id))
        assert last["name"] == {"stopped": "stopped", "failed": "error"}[end]
        assert last["error"]["code"] == end
        assert f"/v1/runs/{run_id}/resume" in last["error"]["hint"]
        if end == "failed":
            assert last["error"]["message"] == "The model went away."


def send_to(stream: EventStream, receive: Callable[[], Awaitable[Message]]) -> list[Message]:
    """What a stream sends to a client that is heard through `receive`."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(dict(message))

    asyncio.run(stream({"type": "http"}, receive, send))
    return sent


async def stays() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


def test_a_stream_ends_with_the_error_that_ended_it() -> None:
    async def fail(write: Write) -> None:
        await write(b"event: a\n\n")
        raise StoreBusyError("The database is locked.")

    start, *bodies = send_to(EventStream(fail), stays)
    assert start["status"] == 200
    assert (b"content-type", b"text/event-stream; charset=utf-8") in start["headers"]
    assert not [name for name, _ in start["headers"] if name == b"content-length"]
    assert b'"code":"store_busy"' in bodies[-2]["body"]
    assert not bodies[-1].get("more_body")


def test_a_bug_in_a_stream_is_told_without_its_details_and_raised() -> None:
    sent: list[Message] = []

    async def fail(write: Write) -> None:
        raise ZeroDivisionError("a secret")

    async def send(message: Message) -> None:
        sent.append(dict(message))

    with pytest.raises(ZeroDivisionError):
        asyncio.run(EventStream(fail)({"type": "http"}, stays, send))
    assert b'"code":"internal"' in sent[-1]["body"]
    assert b"secret" not in sent[-1]["body"]


def test_a_disconnect_is_told_and_ends_the_work() -> None:
    cancelled, told = [], []

    async def produce(write: Write) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def leaves() -> Message:
        await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    send_to(EventStream(produce, on_disconnect=lambda: told.append(True)), leaves)
    assert cancelled == told == [True]


def test_a_disconnect_is_noticed_while_much_is_written() -> None:
    async def produce(write: Write) -> None:
        for _ in range(10_000):
            await write(b"event: a\n\n")

    async def leaves() -> Message:
        return {"type": "http.disconnect"}

    assert len(send_to(EventStream(produce), leaves)) < 10
