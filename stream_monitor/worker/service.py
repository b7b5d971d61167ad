"""Runs the worker: checks what it needs, starts the application, waits for a signal or a failure."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import KafkaException

from stream_monitor import clients, topics
from stream_monitor.broker import is_embedded
from stream_monitor.errors import MonitorError
from stream_monitor.settings import Settings
from stream_monitor.worker import failpoint, logs
from stream_monitor.worker.app import MonitorApp, create_app
from stream_monitor.worker.health import is_ready, serve
from stream_monitor.worker.outage import Outage

log = logging.getLogger("stream_monitor.worker")

_LOOK_S = 0.2
_STOP_S = 20.0
"""For the last checkpoint; Docker waits 30 s in our compose file."""
_LEAVE_S = 6.0
"""For leaving the group, when all is saved."""
_SWITCH_S = 0.02
"""The fetching thread and the folding one share an interpreter; both work in long stretches."""
_GC_THRESHOLD = 200_000
"""Rows are trees of dictionaries, not cycles: the collector finds little and costs much at its default of 700."""


def run(settings: Settings) -> int:
    """Run until SIGINT or SIGTERM; returns 0. Raises MonitorError for what a user can cause."""
    outage = Outage(settings.broker)
    logs.configure(verbose=settings.verbose, is_away=outage.is_on)
    failpoint.arm(settings.failpoint)
    _limit_arenas()
    clients.ensure_broker(settings)
    topics.check(settings)
    _refuse_second_on_embedded(settings)
    with _datadir_lock(settings.datadir):
        return asyncio.run(_run(settings, outage))


async def _run(settings: Settings, outage: Outage) -> int:
    stop = _stop_on_signals()
    counts = _own_topics(settings)
    app = create_app(settings, counts)
    outage.watch(app)
    _say_what_is_read(settings)
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 20)
    sys.setswitchinterval(_SWITCH_S)
    server = await serve(app, settings)
    pump = asyncio.create_task(app.outbox.pump())
    start = asyncio.create_task(app.start())
    try:
        await _until_over(app, start, stop, outage)
    finally:
        if not start.done():
            start.cancel()
        await _leave(app)
        pump.cancel()
        await asyncio.to_thread(app.upstream.close)
        if server is not None:
            await server.cleanup()
    if app.failure is not None:
        raise _as_monitor_error(app.failure)
    log.info("stopped; all is saved")
    return 0


def _say_what_is_read(settings: Settings) -> None:
    """What a person wants to know first."""
    topics_read = ", ".join(settings.topic(f"logs.{kind}") for kind in settings.kinds)
    log.info("reads %s from %s, in group %s", topics_read, settings.broker, settings.group_id)
    at = (
        f"http://{settings.http_host}:{settings.http_port}/readyz"
        if settings.http_port
        else "nowhere (--http-port 0)"
    )
    log.info("keeps its tables in %s; serves its health at %s", settings.datadir.absolute(), at)


def _own_topics(settings: Settings) -> dict[str, int]:
    """The partitions of the declared topics: what else is there under the prefix may come and go."""
    names = {topic.name for topic in topics.declared()}
    return {name: count for name, count in topics.partition_counts(settings).items() if name in names}


async def _leave(app: MonitorApp) -> None:
    """Stop Faust. Where it does not end the process does: a stop that meets a rebalance can wait for ever, since
    aiokafka waits for Faust to give its partitions up, and Faust, which is stopping, no longer answers.

    asyncio.wait_for would not do: it waits for what it has cancelled, too.
    """
    stopping = asyncio.create_task(app.stop())
    saved = asyncio.create_task(app.saved.wait())
    await asyncio.wait({stopping, saved}, timeout=_STOP_S, return_when=asyncio.FIRST_COMPLETED)
    saved.cancel()
    if app.saved.is_set():
        await asyncio.wait({stopping}, timeout=_LEAVE_S)
    if not stopping.done():
        if app.saved.is_set() and app.failure is None:
            log.warning("Kafka did not let the worker leave in time; all is saved, the group will notice")
            _exit(0)
        _exit_at_once(app.failure or "Kafka did not let the worker leave in time")
    if not stopping.cancelled() and (error := stopping.exception()) is not None:
        _exit_at_once(app.failure or error)  # Faust's threads may wait for ever after it


def _exit(code: int) -> None:
    logging.shutdown()
    os._exit(code)


def _stop_on_signals() -> asyncio.Event:
    """Set by the first SIGINT, SIGTERM or SIGHUP; the second ends the process, whatever the loop is doing."""
    stop, loop, seen = asyncio.Event(), asyncio.get_running_loop(), 0

    def signalled(_: int, __: object) -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            _exit_at_once("told so twice")
        loop.call_soon_threadsafe(stop.set)

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signalled)
    return stop


def _exit_at_once(why: object) -> None:
    """Nothing is lost by it: only checkpoints count."""
    line = " ".join(str(why).split())
    sys.stderr.write(f"stream-monitor: ended at once: {line}; the next start goes on at the last checkpoint\n")
    sys.stderr.flush()
    os._exit(1)


async def _until_over(app: MonitorApp, start: asyncio.Task[None], stop: asyncio.Event, outage: Outage) -> None:
    ready = False
    while not stop.is_set():
        if start.done() and start.exception() is not None:
            app.fail(start.exception() or RuntimeError("Faust did not start"))
        if app.crashed:
            app.fail(app.crash_reason or RuntimeError("Faust stopped without a reason"))
        if app.failure is not None:
            return
        outage.look()
        if not ready and is_ready(app):
            ready = True
            log.info("ready; %s", app.restored)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_S)
    log.info("stopping: a last checkpoint")


def _as_monitor_error(failure: BaseException) -> MonitorError:
    if isinstance(failure, MonitorError):
        return failure
    log.error("the worker failed", exc_info=failure)
    return MonitorError(
        f"the worker stopped without committing: {failure!r}; start it again, it goes on at its last checkpoint"
    )


def _refuse_second_on_embedded(settings: Settings) -> None:
    """The stand-in never expires a silent member and deadlocks with two: one worker only."""
    if not is_embedded(settings):
        return
    groups = clients.admin(settings)
    future = groups.describe_consumer_groups([settings.group_id])[settings.group_id]
    with contextlib.suppress(KafkaException):  # no such group: nobody is there
        if future.result(timeout=10).members:
            raise MonitorError(
                f"the embedded broker at {settings.broker} takes one worker, and one is there; "
                "use Apache Kafka for several"
            )


@contextlib.contextmanager
def _datadir_lock(datadir: Path) -> Iterator[None]:
    """One worker per datadir: two would spoil each other's tables."""
    datadir.mkdir(parents=True, exist_ok=True)
    with (datadir / "worker.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise MonitorError(
                f"another worker uses the datadir {datadir}; give each its own with --datadir"
            ) from None
        yield


def _limit_arenas() -> None:
    """glibc gives every thread an arena that never shrinks; librdkafka and RocksDB have many threads."""
    with contextlib.suppress(AttributeError, OSError):  # another libc
        ctypes.CDLL(None).mallopt(-8, 2)  # M_ARENA_MAX
