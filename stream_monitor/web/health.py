"""/healthz, /readyz and /metrics of the web process. The pipeline's own metrics are the worker's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from stream_monitor.web import shape
from stream_monitor.web.api import TheHub
from stream_monitor.web.hub import Hub

health = APIRouter(tags=["health"])


@health.get("/healthz", summary="It runs")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@health.get(
    "/readyz", summary="The feed has what Kafka has", response_class=Response,
    responses={200: {"description": "Ready"}, 503: {"description": "Not yet, or the broker is lost"}},
)  # fmt: skip
async def readyz(hub: TheHub) -> Response:
    phase = hub.feed.state().phase
    ready = phase == "live"
    body = orjson.dumps({"status": "ready" if ready else "not ready", "feed": phase})
    return Response(body, 200 if ready else 503, media_type="application/json")


class WebCollector(Collector):
    """Reads the hub's and the feed's counters when Prometheus asks."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterator[Any]:
        """The web process's metrics."""
        hub, feed = self._hub, self._hub.feed
        state = feed.state()
        gauges = {
            "clients": ("Browsers and programs that listen to the stream.", hub.clients),
            "feed_live": ("1 while the feed is live.", int(state.phase == "live")),
            "series": ("Components that the feed knows.", feed.series_count()),
            "newest_window_timestamp_seconds": ("Start of the newest window.", feed.newest_ms() / 1000),
            "alerts_firing": ("Alerts that fire.", sum(alert.is_firing for alert in feed.alerts())),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"stream_monitor_web_{name}", text, value)
        counters = {
            "boards": ("Boards made.", hub.boards),
            "board_seconds": ("Processor time that boards took.", hub.seconds),
            "clients_cut": ("Clients cut off because they did not read.", hub.cut),
            "records_read": ("Records of the metrics topics since it is live.", state.records),
        }
        for name, (text, value) in counters.items():
            family = CounterMetricFamily(f"stream_monitor_web_{name}", text)
            family.add_metric((), value)
            yield family


@health.get(
    "/metrics", summary="The web process's metrics for Prometheus", response_class=Response,
    responses={200: {"description": "Prometheus' text format", "content": {"text/plain": {}}}, **shape.PROBLEMS},
)  # fmt: skip
def metrics(request: Request) -> Response:
    registry = CollectorRegistry(auto_describe=True)
    registry.register(WebCollector(request.app.state.hub))
    registry.register(ProcessCollector(registry=None))
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
