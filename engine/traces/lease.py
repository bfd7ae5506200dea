"""Leases: one live process writes into a run. Its owner renews a lease; that of a dead owner may be taken."""

import logging
import os
import platform
import secrets
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from sqlite_utils import Database

from engine.errors import RunOwnedError, StoreBusyError, StoreError
from engine.traces.database import connect, fetch_one, insert, store_errors, transaction

_log = logging.getLogger(__name__)

_START_TOLERANCE_S = 2.0
"""A process's start time is computed from the boot time, which moves a little when the clock is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write into a run.

    Attributes:
        run: internal id of the run.
        token: secret of this owner; two writers of one process have two.
        duration_s: how long it holds without being renewed.
    """

    run: int
    token: str
    duration_s: float


def take(db: Database, run: int, run_id: str, duration_s: float) -> Lease:
    """Take a run's lease, inside the caller's transaction.

    Raises:
        RunOwnedError: a live process holds it.
    """
    held = fetch_one(db, "SELECT * FROM leases WHERE run = ?", (run,))
    if held and is_live(held):
        raise RunOwnedError(
            f"Another process (number {held['pid']}) is writing into the run {run_id}.",
            hint="Wait until it has finished, or stop it.",
        )
    db.conn.execute("DELETE FROM leases WHERE run = ?", (run,))
    lease = Lease(run=run, token=secrets.token_hex(16), duration_s=duration_s)
    pid, started = _this_process(os.getpid())
    insert(
        db,
        "leases",
        {
            "run": run,
            "token": lease.token,
            "host": platform.node(),
            "pid": pid,
            "process_started": started,
            "expires_at": time.time() + duration_s,
        },
    )
    return lease


def renew(db: Database, lease: Lease) -> None:
    """Prolong a lease, inside the caller's transaction; what that transaction writes is ours to write.

    An expired lease that nobody took is still ours.

    Raises:
        RunOwnedError: somebody else took it, or the run is gone.
    """
    cursor = db.conn.execute(
        "UPDATE leases SET expires_at = ? WHERE run = ? AND token = ?",
        (time.time() + lease.duration_s, lease.run, lease.token),
    )
    if cursor.rowcount != 1:
        raise RunOwnedError(
            "Another process took over this run.",
            hint="What it had finished is kept; this process stops writing.",
        )


def release(db: Database, lease: Lease) -> None:
    """Give a lease back, inside the caller's transaction; one that was lost is left alone."""
    db.conn.execute("DELETE FROM leases WHERE run = ? AND token = ?", (lease.run, lease.token))


def is_live(held: dict[str, Any]) -> bool:
    """Whether the owner in this row of `leases` still counts: not expired, and not known to be dead."""
    if held["expires_at"] <= time.time():
        return False
    return held["host"] != platform.node() or _is_alive(held["pid"], held["process_started"])


def _is_alive(pid: int, started: float) -> bool:
    """Whether that very process lives; a number that is used again belongs to one that started later."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(process.create_time() - started) <= _START_TOLERANCE_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


@cache
def _this_process(pid: int) -> tuple[int, float]:
    """Number and start time of this process; keyed by number, because a forked child has another."""
    return pid, psutil.Process(pid).create_time()


class Heartbeat:
    """A daemon thread that renews a lease, because one chunk may take longer than the lease holds.

    It has a connection of its own. It never raises: a renewal that fails is tried again at the next beat, and
    a lease that is lost is noted in `is_lost`.

    Args:
        path: the database.
        lease: what to renew; a third of its duration lies between two beats.
    """

    def __init__(self, path: Path, lease: Lease) -> None:
        self._path = path
        self._lease = lease
        self._interval_s = lease.duration_s / 3
        self._stop = threading.Event()
        self.is_lost = False
        self._thread = threading.Thread(target=self._run, name="trace-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; waits for it."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s) and not self.is_lost:
            try:
                self._beat()
            except RunOwnedError:
                self.is_lost = True
            except StoreBusyError:
                _log.debug("the database is busy; the lease is renewed at the next beat")
            except StoreError as exc:
                _log.warning("the lease was not renewed: %s", exc.message)

    def _beat(self) -> None:
        db = connect(self._path, busy_timeout_s=self._interval_s)
        try:
            with store_errors(self._path), transaction(db):
                renew(db, self._lease)
        finally:
            db.close()
