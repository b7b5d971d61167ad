"""What a task of the worker meets in place of Kafka and RocksDB: dicts and lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from faust.types import TP

from stream_monitor.worker.store import STAMP_BYTES, supersedes


class Fetched(NamedTuple):
    """What a task reads of a fetched record."""

    offset: int
    timestamp: int
    value: bytes | None
    key: bytes | None = None


@dataclass
class MemoryState:
    """PartitionState on a dict, and the changelog that a restore reads."""

    rows: dict[bytes, bytes] = field(default_factory=dict)
    log: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    changelog: str = "changelog"
    topic_id: str = "id"

    def get(self, key: bytes) -> bytes | None:
        """A row without its stamp."""
        value = self.rows.get(key)
        return None if value is None else value[STAMP_BYTES:]

    def scan(self, tag: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The rows whose keys start with a tag."""
        yield from sorted((k, value[STAMP_BYTES:]) for k, value in self.rows.items() if k.startswith(tag))

    def write(self, rows: Mapping[bytes, bytes | None], receipt: Any) -> None:  # noqa: ARG002  (nobody waits)
        """To the changelog and the dict at once."""
        self.log += rows.items()
        for key, value in rows.items():
            self._take(key, value)

    def _take(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = value

    def restore(self) -> None:
        """What a new owner finds: the changelog, by the rule of the store."""
        self.rows = {}
        for key, value in self.log:
            if supersedes(value, self.rows.get(key)):
                self._take(key, value)


class Outbox(list[tuple[str, int, bytes | None, bytes | None]]):
    """What was sent: (topic without prefix, partition, key, value)."""

    def send(self, topic: str, partition: int, key: Any, value: Any, receipt: Any, timestamp_ms: int = 0) -> None:  # noqa: ARG002
        """As the worker's outbox."""
        self.append((topic.partition(".")[2], partition, key, value))


class Committed(dict[TP, int]):
    """The consumer, as far as a task asks it."""

    def committed(self, tp: TP) -> int | None:
        """What was committed last."""
        return self.get(tp)

    def highwater(self, tp: TP) -> int | None:  # noqa: ARG002
        """Nobody has told."""
        return None
