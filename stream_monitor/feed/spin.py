"""Whether a broker holds an idle fetch back, as Kafka does, or answers at once: then a consumer does nothing else.

The embedded broker answers at once: 15,000 fetches a second for a view at rest, half a core here and one there.
"""

from __future__ import annotations

import orjson

LOOK_MS = 1000
"""How often librdkafka is to say what it has done."""
_MOST = 100.0
"""A broker that waits 0.1 s answers 10 idle fetches a second; so many it does not."""


class Spin:
    """Reads librdkafka's statistics. `found`: fetches of nothing came far more often than from Kafka; for good."""

    def __init__(self) -> None:
        self.found = False
        self._before: tuple[int, int, int] | None = None

    def take(self, statistics: str) -> None:
        """One statement of librdkafka's, JSON."""
        said = orjson.loads(statistics)
        fetches = sum(broker.get("req", {}).get("Fetch", 0) for broker in said["brokers"].values())
        now = (said["ts"], fetches, said["rxmsgs"])
        if self._before is not None:
            us, fetched, records = (new - old for new, old in zip(now, self._before, strict=True))
            self.found |= fetched - records > _MOST * len(said["brokers"]) * us / 1e6
        self._before = now
