"""Bytewax: `fold_window` on an event clock, with recovery snapshots every ten seconds.

As its documentation recommends: Kafka operators for input and output, `EventClock`, `TumblingWindower`, a recovery
store on disk; tuned with larger input batches and `ordered=False` (the fold needs no order). It reads to the end
of the topics and stops, which closes the last windows.

python bytewax_flow.py BROKER PREFIX
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
import orjson
from bytewax._bytewax import cli_main
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from reading import KINDS, MINUTE_MS, Reading, add, empty, reading, result

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def flow(broker: str, prefix: str) -> Dataflow:
    """The dataflow: three inputs, one window, one output."""
    dataflow = Dataflow("peer")
    streams = []
    for kind in KINDS:
        read = kop.input(
            f"in_{kind}", dataflow, brokers=[broker], topics=[f"{prefix}.logs.{kind}"], tail=False, batch_size=5000
        )

        def keyed(message: Any, kind: str = kind) -> tuple[str, Reading]:
            found = reading(kind, orjson.loads(message.value))
            return found.series, found

        streams.append(op.map(f"read_{kind}", read.oks, keyed))
    clock = win.EventClock(lambda r: EPOCH + timedelta(milliseconds=r.at_ms), timedelta(seconds=10))
    windower = win.TumblingWindower(length=timedelta(minutes=1), align_to=EPOCH)
    windows = win.fold_window(
        "windows", op.merge("all", *streams), clock, windower, empty,
        lambda state, r: add(state, r.latency_ms, r.is_error), _merged, ordered=False,
    )  # fmt: skip

    def message(item: tuple[str, tuple[int, dict[str, Any]]]) -> KafkaSinkMessage:
        series, (window, state) = item
        value = orjson.dumps(result(series, window * MINUTE_MS, state))
        return KafkaSinkMessage(series.encode(), value)

    kop.output("out", op.map("result", windows.down, message), brokers=[broker], topic=f"{prefix}.peer.bytewax")
    return dataflow


def _merged(*_: dict[str, Any]) -> dict[str, Any]:
    raise AssertionError("tumbling windows never merge")


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    init_db_dir(folder, 1)
    cli_main(
        flow(sys.argv[1], sys.argv[2]),
        epoch_interval=timedelta(seconds=10),
        recovery_config=RecoveryConfig(str(folder)),
    )
