"""Feeds: what late and slow subscribers get."""

import asyncio
import threading

from app.server.feed import Feed, Subscription
from app.wire import StreamEvent


def numbered(number: int) -> StreamEvent:
    return StreamEvent(name="event", data={}, sequence=number)


def state(name: str, value: int) -> StreamEvent:
    return StreamEvent(name=name, data={"value": value})


LAST = StreamEvent(name="result", data={}, is_last=True)


async def take(subscription: Subscription) -> list[StreamEvent]:
    """All that has been handed over."""
    await asyncio.sleep(0)
    found = []
    while True:
        try:
            found.append(await asyncio.wait_for(subscription.next(), 0.01))
        except TimeoutError:
            return found


def test_a_late_subscriber_gets_the_state_and_what_is_not_committed() -> None:
    async def scene() -> None:
        feed = Feed()
        feed.set_state(state("queued", 2))
        feed.set_state(state("started", 0))
        feed.set_state(state("progress", 1))
        feed.set_state(state("progress", 2))
        feed.drop_state("queued")
        feed.publish(numbered(0))
        feed.publish(numbered(1), commits=True)
        feed.publish(numbered(2))
        feed.publish(state("token", 0))
        subscription = feed.subscribe()
        feed.publish(numbered(3))
        assert await take(subscription) == [
            state("started", 0), state("progress", 2), numbered(2), numbered(3)
        ]  # fmt: skip

    asyncio.run(scene())


def test_whoever_comes_after_the_end_gets_the_end() -> None:
    async def scene() -> None:
        feed = Feed()
        early = feed.subscribe()
        feed.close(LAST)
        feed.close(StreamEvent(name="error", data={}, is_last=True))
        assert await take(early) == await take(feed.subscribe()) == [LAST]

    asyncio.run(scene())


def test_a_slow_subscriber_loses_pieces_quietly_and_knows_when_it_lost_more() -> None:
    async def scene() -> None:
        feed = Feed()
        subscription = feed.subscribe()
        for number in range(2000):
            feed.publish(state("token", number))
        await asyncio.sleep(0)
        states = [subscription.is_behind]
        feed.publish(numbered(0))
        feed.close(LAST)
        found = await take(subscription)
        states.append(subscription.is_behind)
        assert states == [False, True]
        assert numbered(0) not in found
        assert 100 < len(found) < 1000
        assert found[-1] == LAST

    asyncio.run(scene())


def test_events_of_another_thread_arrive_in_order() -> None:
    async def scene() -> None:
        feed = Feed()
        subscription = feed.subscribe()

        def publish() -> None:
            for number in range(300):
                feed.publish(numbered(number))

        thread = threading.Thread(target=publish)
        thread.start()
        found = [await subscription.next() for _ in range(300)]
        thread.join()
        assert found == [numbered(number) for number in range(300)]
        feed.unsubscribe(subscription)
        feed.unsubscribe(subscription)
        feed.publish(numbered(300))
        assert await take(subscription) == []

    asyncio.run(scene())


def test_a_subscriber_whose_loop_is_gone_does_no_harm() -> None:
    feed = Feed()

    async def scene() -> None:
        feed.subscribe()

    asyncio.run(scene())
    feed.publish(numbered(0))
