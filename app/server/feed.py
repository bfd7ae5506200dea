"""Where the events of one reading pass from the thread that reads to the streams that show them.

Nothing is kept that the trace holds: a feed remembers only the events since the last commit (the chunk at work), the
latest state, and the last event. Whoever comes late, or falls behind, reads the trace and joins again.
"""

import asyncio
import contextlib
import threading
from collections import deque

from app.wire import StreamEvent

_MOST_WAITING = 512
"""Events that a stream may be behind; more, and it is sent to the trace."""


class Subscription:
    """One stream's view of a feed. It belongs to the event loop that made it.

    Attributes:
        is_behind: events were lost; those with a number are in the trace.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._events: deque[StreamEvent] = deque()
        self._arrived = asyncio.Event()
        self.is_behind = False

    def send(self, event: StreamEvent) -> None:
        """Hand over an event, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody is listening any more
            self._loop.call_soon_threadsafe(self._put, event)

    def _put(self, event: StreamEvent) -> None:
        if len(self._events) >= _MOST_WAITING and not event.is_last:
            self.is_behind |= event.sequence is not None
            return
        self._events.append(event)
        self._arrived.set()

    async def next(self) -> StreamEvent:
        """The next event; waits for it. Cancelling the wait loses nothing."""
        while not self._events:
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()


class Feed:
    """The events of one reading, for any number of subscribers. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: list[Subscription] = []
        self._uncommitted: list[StreamEvent] = []
        self._states: dict[str, StreamEvent] = {}
        self._last: StreamEvent | None = None

    def publish(self, event: StreamEvent, *, commits: bool = False) -> None:
        """Hand an event of the engine to everybody.

        Args:
            event: what happened.
            commits: with it, all events so far are in the trace.
        """
        with self._lock:
            if commits:
                self._uncommitted.clear()
            elif event.sequence is not None:
                self._uncommitted.append(event)
            self._tell(event)

    def set_state(self, event: StreamEvent) -> None:
        """Hand on an event that describes how things are; who comes later is told the latest of each name."""
        with self._lock:
            self._states.pop(event.name, None)
            self._states[event.name] = event
            self._tell(event)

    def drop_state(self, name: str) -> None:
        """Things are no longer as the latest event of this name says."""
        with self._lock:
            self._states.pop(name, None)

    def close(self, event: StreamEvent) -> None:
        """Hand on the last event; a second one is ignored."""
        with self._lock:
            if self._last is None:
                self._last = event
                self._tell(event)

    @property
    def states(self) -> dict[str, StreamEvent]:
        """The latest event of each name that describes how things are."""
        with self._lock:
            return dict(self._states)

    def subscribe(self) -> Subscription:
        """Listen, in the running event loop: how things are, what is not committed yet, and all that comes."""
        subscription = Subscription(asyncio.get_running_loop())
        with self._lock:
            opening = [*self._states.values(), *self._uncommitted]
            for event in [*opening, self._last] if self._last else opening:
                subscription.send(event)
            if self._last is None:
                self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop listening. A second call does nothing."""
        with self._lock, contextlib.suppress(ValueError):
            self._subscriptions.remove(subscription)

    def _tell(self, event: StreamEvent) -> None:
        for subscription in self._subscriptions:
            subscription.send(event)
