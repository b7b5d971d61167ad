"""The worker's own HTTP: /healthz (alive), /readyz (it owns partitions and serves them), /metrics (Prometheus)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from stream_monitor.errors import MonitorError
from stream_monitor.settings import Settings
from stream_monitor.worker.merge import MergeTask
from stream_monitor.worker.owners import clock_ms
from stream_monitor.worker.task import PartitionTask

if TYPE_CHECKING:
    from stream_monitor.worker.app import MonitorApp


PLACE = ("topic", "partition")
_TASK_METRICS: tuple[tuple[Any, str, str, tuple[str, ...]], ...] = (
    (CounterMetricFamily, "records",
     "Records by what became of them, since the partition's first checkpoint: read, folded, or why not.",
     (*PLACE, "outcome")),
    (CounterMetricFamily, "merged_records",
     ("Log records that reached the merge, by where they were read and what became of them: published, or "
     "late. Over all partials partitions their sum is what the source partition folded."),
     ("partition", "kind", "source_partition", "outcome")),
    (GaugeMetricFamily, "position", "Offset after the last record processed.", PLACE),
    (GaugeMetricFamily, "checkpoint_position", "Offset up to which all state is safe in Kafka.", PLACE),
    (GaugeMetricFamily, "lag_records", "Records between the position and the partition's end.", PLACE),
    (SummaryMetricFamily, "checkpoint_seconds", "From a checkpoint's rows being sent to its commit.", PLACE),
    (GaugeMetricFamily, "open_windows", "Windows in the merge's memory that are not closed.", PLACE),
    (GaugeMetricFamily, "rocksdb_bytes",
     "What a partition's table takes: memory by what for, and its files.", (*PLACE, "of")),
)  # fmt: skip
_TOTALS: tuple[tuple[str, str, Callable[[MonitorApp], int]], ...] = (
    ("sent", "Records sent, of every topic.", lambda app: app.outbox.sent_total),
    ("restored", "Changelog records read to restore tables.", lambda app: app.restored.records),
    ("rebalances", "Assignments of partitions since the start.", lambda app: app.rebalances),
    ("unexported_windows", "Closed minutes exported as __other__, for want of room.",
     lambda app: app.pipeline.over_total),
)  # fmt: skip


class WorkerCollector(Collector):
    """Reads the owners' counters when Prometheus asks; nothing is counted twice."""

    def __init__(self, app: MonitorApp) -> None:
        self._app = app

    def collect(self) -> Iterator[Any]:
        """The worker's metrics."""
        families = {
            name: family(f"stream_monitor_{name}", text, labels=labels)
            for family, name, text, labels in _TASK_METRICS
        }
        for task in list(self._app.owners):
            _add(families, task)
        yield from families.values()
        for name, text, read in _TOTALS:
            total = CounterMetricFamily(f"stream_monitor_{name}", text)
            total.add_metric((), read(self._app))
            yield total


def _add(families: Mapping[str, Any], task: PartitionTask) -> None:
    """One task's samples."""
    where = (task.tp.topic, str(task.tp.partition))
    for outcome, times in task.counters.items():
        families["records"].add_metric((*where, outcome), times)
    if isinstance(task, MergeTask):
        for kind, outcome, partition, times in task.merged():
            families["merged_records"].add_metric((where[1], kind, str(partition), outcome), times)
        families["open_windows"].add_metric(where, task.open_windows())
    families["position"].add_metric(where, task.position or 0)
    families["checkpoint_position"].add_metric(where, task.saved_position)
    end = task.end()
    if end is not None:
        families["lag_records"].add_metric(where, max(0, end - (task.position or 0)))
    families["checkpoint_seconds"].add_metric(where, task.checkpoints, task.checkpoints_s)
    for of, size in task.state.sizes().items():
        families["rocksdb_bytes"].add_metric((*where, of), size)


def is_ready(app: MonitorApp) -> bool:
    """It has joined the group, restored its tables, nothing has failed, and its checkpoints come through."""
    ready = app.failure is None and app.tables.actives_ready and not app.rebalancing
    return ready and not any(task.is_stuck(clock_ms()) for task in app.owners)


async def serve(app: MonitorApp, settings: Settings) -> web.AppRunner | None:
    """Start serving; None where `http_port` is 0. Raises MonitorError where the port is taken."""
    if not settings.http_port:
        return None
    registry = CollectorRegistry()
    for collector in (
        WorkerCollector(app),
        app.pipeline,
        ProcessCollector(registry=None),
        PlatformCollector(registry=None),
    ):
        registry.register(collector)

    async def healthz(_: web.Request) -> web.Response:
        alive = app.failure is None
        return web.json_response({"status": "ok" if alive else "failed"}, status=200 if alive else 503)

    async def readyz(_: web.Request) -> web.Response:
        ready = is_ready(app)
        partitions = sorted(f"{task.tp.topic}/{task.tp.partition}" for task in app.owners)
        body = {"status": "ready" if ready else "not ready", "partitions": partitions}
        return web.json_response(body, status=200 if ready else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    site = web.Application()
    site.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(site, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.http_host, settings.http_port).start()
    except OSError as error:
        await runner.cleanup()
        raise MonitorError(
            f"cannot serve health on {settings.http_host}:{settings.http_port} ({error.strerror or error}); "
            "free the port or choose another with --http-port (0: none)"
        ) from None
    return runner
