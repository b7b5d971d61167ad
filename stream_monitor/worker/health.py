"""The worker's own HTTP: /healthz (alive), /readyz (it owns partitions and serves them), /metrics (Prometheus)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from stream_monitor.errors import MonitorError
from stream_monitor.settings import Settings
from stream_monitor.worker.merge import MergeTask
from stream_monitor.worker.owners import clock_ms

if TYPE_CHECKING:
    from stream_monitor.worker.app import MonitorApp


class WorkerCollector(Collector):
    """Reads the owners' counters when Prometheus asks; nothing is counted twice."""

    def __init__(self, app: MonitorApp) -> None:
        self._app = app

    def collect(self) -> Iterator[Any]:
        """The worker's metrics."""
        records = CounterMetricFamily(
            "stream_monitor_records",
            "Records by what became of them, since the partition's first checkpoint: read, folded, or why not.",
            labels=("topic", "partition", "outcome"),
        )
        merged = CounterMetricFamily(
            "stream_monitor_merged_records",
            "Log records that reached the merge, by where they were read and what became of them: published, or "
            "late. Over all partials partitions their sum is what the source partition folded.",
            labels=("partition", "kind", "source_partition", "outcome"),
        )
        position = GaugeMetricFamily(
            "stream_monitor_position",
            "Offset after the last record processed.",
            labels=("topic", "partition"),
        )
        saved = GaugeMetricFamily(
            "stream_monitor_checkpoint_position",
            "Offset up to which all state is safe in Kafka.",
            labels=("topic", "partition"),
        )
        rocksdb = GaugeMetricFamily(
            "stream_monitor_rocksdb_bytes",
            "What a partition's table takes: memory by what for, and its files.",
            labels=("topic", "partition", "of"),
        )
        for task in list(self._app.owners):
            where = (task.tp.topic, str(task.tp.partition))
            for outcome, times in task.counters.items():
                records.add_metric((*where, outcome), times)
            if isinstance(task, MergeTask):
                for kind, outcome, partition, times in task.merged():
                    merged.add_metric((where[1], kind, str(partition), outcome), times)
            position.add_metric(where, task.position or 0)
            saved.add_metric(where, task.saved_position)
            for of, size in task.state.sizes().items():
                rocksdb.add_metric((*where, of), size)
        sent = CounterMetricFamily("stream_monitor_sent", "Records sent, of every topic.")
        sent.add_metric((), self._app.outbox.sent_total)
        restored = CounterMetricFamily("stream_monitor_restored", "Changelog records read to restore tables.")
        restored.add_metric((), self._app.restored.records)
        yield from (records, merged, position, saved, rocksdb, sent, restored)


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
