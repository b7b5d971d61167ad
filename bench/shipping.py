"""What a log call costs its caller, with the broker up and down, and what the decorator of predictions costs.

    python -m bench.shipping [--calls 20000]

"logging alone" is the same call with a handler that does nothing: what the standard library and this machine take.
"QueueHandler" is the standard library's, whose queue nobody reads: the least that any handler can do which leaves
the work to another thread.
"spin" is a thread that works between its calls, "sleep" one that sleeps, and finds the caches cold.
"""

from __future__ import annotations

import argparse
import logging
import logging.handlers
import platform
import queue
import sys
import tempfile
import threading
import time
import timeit
from collections.abc import Callable
from datetime import date

from stream_monitor import topics
from stream_monitor.settings import Settings
from stream_monitor.shipping import KafkaHandler
from stream_monitor.shipping.prediction import log_predictions
from stream_monitor.testing.brokers import JarsKafka

log = logging.getLogger("bench")
GAP_S = 0.0002


class Nothing(logging.Handler):
    def handle(self, _record: logging.LogRecord) -> bool:
        return True


class NoKafka(KafkaHandler):
    def handle(self, _record: logging.LogRecord) -> bool:
        return True


Costs = list[tuple[float, float]]
"""Of each call: seconds on the clock, and of its thread's CPU, which leave out what else ran meanwhile."""


def costs(calls: int, pace: str) -> Costs:
    """What that many calls cost."""
    clock, cpu, found = time.perf_counter, time.thread_time, []
    for number in range(calls):
        extra = {"service": "s", "model_version": "v", "number": number, "latency_ms": 4.5}
        spent, before = cpu(), clock()
        log.info("prediction %d", number, extra=extra)
        after = clock()
        found.append((after - before, cpu() - spent))
        if pace == "sleep":
            time.sleep(GAP_S)
        else:
            while clock() - after < GAP_S:
                pass
    return found


def row(name: str, pace: str, found: Costs) -> None:
    clock, cpu = sorted(seconds for seconds, _ in found), sorted(seconds for _, seconds in found)
    cells = [f"{clock[int(len(clock) * q)] * 1e6:.1f}" for q in (0.5, 0.9, 0.99, 0.999)]
    cells += [f"{cpu[int(len(cpu) * q)] * 1e6:.1f}" for q in (0.5, 0.99)]
    print(f"| {name} | {pace} | {' | '.join(cells)} |", flush=True)


def threads(count: int, calls: int) -> Costs:
    found: Costs = []
    every = [threading.Thread(target=lambda: found.extend(costs(calls, "sleep"))) for _ in range(count)]
    for thread in every:
        thread.start()
    for thread in every:
        thread.join()
    return found


def measure(name: str, handler: logging.Handler, calls: int) -> None:
    log.handlers[:] = [handler]
    costs(calls // 10, "sleep")  # the first record starts the thread
    for pace in ("spin", "sleep"):
        row(name, pace, costs(calls, pace))
    row(name, "sleep, 4 threads", threads(4, calls // 4))


def decorator(number: int = 50_000) -> None:
    """The decorator's own time: a call with a handler that does nothing, less the bare call."""
    logger = logging.getLogger("ml.predictor")
    logger.propagate = False
    logger.handlers[:] = [NoKafka(broker="127.0.0.1:1", spool_dir=None)]

    def predict(_: int) -> tuple[str, float]:
        return "a", 0.5

    decorated = log_predictions(model_version="v", service="s")(predict)
    print(f"decorator: {_best(decorated, number) - _best(predict, number):.2f} µs a call, besides the handler")


def _best(function: Callable[[int], object], number: int) -> float:
    return min(timeit.repeat(lambda: function(1), number=number, repeat=7)) / number * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    options = parser.parse_args()
    log.setLevel(logging.INFO)
    log.propagate = False
    print(f"{date.today()}, Python {platform.python_version()}, a call every {GAP_S * 1e6:.0f} µs")
    decorator()
    kafka = JarsKafka()
    kafka.start()
    try:
        settings = Settings(broker=kafka.address, prefix="bench")
        topics.apply(settings, replication_factor=1)
        print("| handler | pace | p50 µs | p90 | p99 | p99.9 | CPU p50 | CPU p99 |")
        print("|---|---|---|---|---|---|---|---|")
        measure("logging alone", Nothing(), options.calls)
        measure("QueueHandler", logging.handlers.QueueHandler(queue.SimpleQueue()), options.calls)
        with tempfile.TemporaryDirectory() as spool:
            handler = KafkaHandler(broker=kafka.address, prefix="bench", spool_dir=spool)
            measure("broker up", handler, options.calls)
            handler.wait_delivered(30)
            print(f"delivered: {handler.counts}", file=sys.stderr)
            kafka.stop()
            measure("broker down", handler, options.calls)
            print(f"down: {handler.counts}", file=sys.stderr)
            handler.close()
    finally:
        kafka.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
