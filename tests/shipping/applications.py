"""Applications that log, each in a process of its own: what tests start, fork, kill and let exit.

python -m tests.shipping.applications NAME BROKER PREFIX SPOOL
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import time

from stream_monitor.shipping import KafkaHandler

log = logging.getLogger("app")
SERVICE = sys.argv[1] if len(sys.argv) > 1 else ""
"""The application's name: the series of several in one topic are told apart by it."""


def say(number, key="v"):
    log.info("log %d", number, extra={"service": SERVICE, "model_version": key, "number": number})


def exits_at_once(_):
    for number in range(500):
        say(number, f"v{number % 3}")


def waits_to_be_killed(_):
    """Says how far it has come; what it said a moment ago must survive."""
    number = 0
    while True:
        for _ in range(100):
            say(number, f"v{number % 3}")
            number += 1
        time.sleep(0.1)
        print(number, flush=True)


def forks(handler):
    """The parent logs, two children log and exit, one as Python does and one at once after a flush."""
    for number in range(100):
        say(number, "parent")
    for name in ("child", "grandchild"):
        pid = os.fork()
        if pid == 0:
            for number in range(100):
                say(number, name)
            if name == "child":
                sys.exit(0)
            handler.flush()
            os._exit(0)
        os.waitpid(pid, 0)
    for number in range(100, 200):
        say(number, "parent")


def _of_a_pool(number):
    say(number, "pool")


def pools(_):
    """multiprocessing's children end without atexit."""
    say(0, "parent")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(_of_a_pool, range(50), chunksize=5)
        pool.close()
        pool.join()


def crowds(_):
    """Threads at once, and a record whose own text logs."""
    import threading

    class Chatty:
        def __str__(self):
            log.info("while formatting %s", self, extra={"service": SERVICE, "model_version": "nested"})
            return "chatty"

    def speak(key):
        for number in range(500):
            say(number, key)

    threads = [threading.Thread(target=speak, args=(f"thread{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.info("%s", Chatty(), extra={"service": SERVICE, "model_version": "chatty"})


def finds_no_topic(handler):
    """The topic is made while it waits."""
    for number in range(200):
        say(number, f"v{number % 3}")
    print("logged", flush=True)
    sys.stdin.readline()
    for number in range(200, 400):
        say(number, f"v{number % 3}")
    print(handler.wait_delivered(30), flush=True)


if __name__ == "__main__":
    name, broker, prefix, spool = sys.argv[1:]
    logging.raiseExceptions = False
    logging.basicConfig(level=logging.WARNING)
    log.setLevel(logging.INFO)
    log.propagate = False
    kafka = KafkaHandler(broker=broker, prefix=prefix, spool_dir=spool)
    log.addHandler(kafka)
    globals()[name](kafka)
