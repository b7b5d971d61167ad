"""The worker on a broker: the example topics through it equal the oracle; it can be stopped at any time."""

from __future__ import annotations

import shutil
import signal
import time
import urllib.request
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from stream_monitor import clients, offsets, recording, replay, topics
from stream_monitor.broker import free_port
from stream_monitor.core.window import DAY_MS
from stream_monitor.recording import Recorded
from tests.expected import FIXTURES, differences, fixture_windows
from tests.workers import WorkerProcess, committed, everything, folded, metrics, wait_for, wait_settled

DAY = 1_705_276_800_000
TOTAL = sum(path.read_bytes().count(b"\n") for path in FIXTURES)


def yesterday_ms():
    """By how much the fixtures' day is moved to end before today: whole days, so that days stay days."""
    return (time.time_ns() // 1_000_000 - DAY) // DAY_MS * DAY_MS - DAY_MS


def check_against_oracle(settings, shift_ms, worker):
    wait_settled(settings, 90, worker)
    wait_for(lambda: folded(metrics(settings)) == TOTAL, 60, worker)
    wait_for(lambda: folded(metrics(settings), 86400) == TOTAL, 30, worker)
    time.sleep(2)  # hours and days that were corrected are written at the next checkpoint
    assert differences(metrics(settings), fixture_windows(shift_ms)) == []


class TestFixtures:
    def test_through_the_embedded_broker(self, embedded, make_settings):
        settings, shift_ms = make_settings(embedded, http_port=free_port()), yesterday_ms()
        with WorkerProcess(settings) as worker:
            assert replay.replay(settings, FIXTURES, shift_ms=shift_ms) == TOTAL
            check_against_oracle(settings, shift_ms, worker)
            assert scraped(settings, "stream_monitor_restored_total") == 0  # it does not read its own changelogs
            assert worker.stop() == 0

    def test_from_a_producer_that_ignores_keys(self, kafka, make_settings):
        settings, shift_ms = make_settings(kafka), yesterday_ms()
        replay.replay(settings, FIXTURES, shift_ms=shift_ms, keyless=True)
        with WorkerProcess(settings) as worker:
            check_against_oracle(settings, shift_ms, worker)

    def test_with_two_workers_one_of_them_stopped_half_way(self, kafka, make_settings, tmp_path):
        settings, shift_ms = make_settings(kafka), yesterday_ms()
        with WorkerProcess(settings, tmp_path / "one") as one, WorkerProcess(settings, tmp_path / "two") as two:
            half = [record for path in FIXTURES for record in recording.read(path)]
            half.sort(key=lambda record: record.timestamp_ms)
            send(settings, half[: TOTAL // 2], shift_ms)
            wait_for(lambda: committed(settings, "logs.kafka") > 0, 60, one)
            send(settings, half[TOTAL // 2 : TOTAL // 4 * 3], shift_ms)
            assert two.stop() == 0
            send(settings, half[TOTAL // 4 * 3 :], shift_ms)
            check_against_oracle(settings, shift_ms, one)


def scraped(settings, name):
    """One of the worker's own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{settings.http_port}/metrics", timeout=5) as page:
        (line,) = [line for line in page.read().decode().splitlines() if line.startswith(name)]
    return float(line.split()[-1])


def send(settings, records, shift_ms=0):
    sender = replay.Sender(settings)
    for record in records:
        sender.send(recording.shifted(record, shift_ms))
    sender.close()


def prediction(at_ms, latency_ms, partition=1):
    value = b'{"timestamp":%d,"service":"s","model_version":"v","latency_ms":%d}' % (at_ms, latency_ms)
    return Recorded("logs.ml", at_ms, value, None, partition)


class TestTheTablesAreTheState:
    """Half a window, a stop, the other half: the first half comes back from RocksDB, or from the changelog;
    from nowhere else, because its source records are deleted meanwhile."""

    @pytest.mark.parametrize(
        ("datadir", "signum"), [("kept", signal.SIGTERM), ("kept", signal.SIGKILL), ("deleted", signal.SIGKILL)]
    )
    def test_a_window_survives_a_stop_in_its_middle(self, kafka, make_settings, datadir, signum):
        settings = make_settings(kafka)
        start = long_ago()
        with WorkerProcess(settings) as worker:
            send(settings, [prediction(start + i, 10) for i in range(300)])
            wait_settled(settings, 60, worker)
            assert committed(settings, "logs.ml") == 300
            worker.stop(signum)
        forget_source(settings, 1, 300)
        if datadir == "deleted":
            shutil.rmtree(settings.datadir)
        with WorkerProcess(settings) as worker:
            send(settings, [prediction(start + 300 + i, 1000) for i in range(200)])
            wait_for(lambda: folded(metrics(settings)) == 500, 60, worker)
        (minute,) = [metric for key, metric in metrics(settings).items() if key[2] == 60]
        latency = minute.aggregate.measures[0]
        assert (latency.count, latency.sum, latency.min, latency.max) == (500, 203_000.0, 10, 1000)


@pytest.mark.parametrize("damage", ["CURRENT", "sst"])
def test_a_damaged_table_is_put_aside_and_restored(kafka, make_settings, damage):
    settings = make_settings(kafka)
    start = long_ago()
    with WorkerProcess(settings) as worker:
        send(settings, [prediction(start + i, 10) for i in range(300)])
        wait_settled(settings, 60, worker)
        assert worker.stop() == 0
    forget_source(settings, 1, 300)
    with WorkerProcess(settings) as worker:  # at an open RocksDB moves its write-ahead log into a table file
        wait_for(lambda: worker.log.read_text().count(": ready") == 2, 30, worker)
        assert worker.stop() == 0
    files = list((settings.datadir / "v1" / "tables" / "state.ml-1.db").glob(f"*{damage}*"))
    assert files
    for file in files:
        file.write_bytes(b"\xff" * file.stat().st_size)
    send(settings, [prediction(start + 300 + i, 1000) for i in range(200)])
    worker = WorkerProcess(settings)
    try:
        if "ended" in ends_or_settles(settings, worker):  # it met the damage while it read
            assert "was put aside; start the worker again" in worker.log.read_text()
            worker = WorkerProcess(settings)
        wait_for(lambda: folded(metrics(settings)) == 500, 60, worker)
        assert "put aside as" in worker.log.read_text()
    finally:
        worker.stop(signal.SIGKILL)


def test_a_broker_that_goes_and_comes_back_is_two_lines_of_the_log(own_kafka, make_settings):
    settings = make_settings(own_kafka.address)
    with WorkerProcess(settings) as worker:
        wait_for(lambda: ": ready" in worker.log.read_text(), 60, worker)
        own_kafka.stop(signal.SIGKILL)
        wait_for(lambda: "is away" in worker.log.read_text(), 60, worker)
        own_kafka.start()
        wait_for(lambda: "is back after" in worker.log.read_text(), 60, worker)
        send(settings, [prediction(long_ago() + i, 10) for i in range(300)])
        wait_settled(settings, 90, worker)
        assert worker.stop() == 0
    lines = worker.log.read_text().splitlines()
    assert all(" stream_monitor.worker" in line for line in lines), lines
    assert len([line for line in lines if "the broker at" in line]) == 2
    assert len(lines) < 20, lines


def ends_or_settles(settings, worker):
    try:
        wait_settled(settings, 60, worker)
    except AssertionError as error:
        return str(error)
    return "settled"


def long_ago():
    """The start of a minute that has closed."""
    return time.time_ns() // 1_000_000 // 60_000 * 60_000 - 600_000


def test_a_compacted_changelog_restores_the_same(kafka, make_settings):
    """Kafka keeps the last record of a key; the worker must need no other."""
    settings = make_settings(kafka)
    eager = {"min.compaction.lag.ms": "0", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.001"}
    for name in ("state.ml", "state.merge"):
        configure(settings, name, {**eager, "delete.retention.ms": "0"})
    start = long_ago()
    with WorkerProcess(settings) as worker:
        for part in range(8):
            send(settings, [prediction(start + part * 50 + i, 10) for i in range(50)])
            time.sleep(1.2)
        wait_settled(settings, 60, worker)
        ends = sum(offsets.ends(settings, ("state.ml",)).values())
        wait_for(lambda: len(everything(settings, "state.ml")) < ends, 60, worker)
        worker.stop(signal.SIGKILL)
    forget_source(settings, 1, 400)
    shutil.rmtree(settings.datadir)
    with WorkerProcess(settings) as worker:
        send(settings, [prediction(start + 400 + i, 1000) for i in range(100)])
        wait_settled(settings, 60, worker)
        wait_for(lambda: folded(metrics(settings)) == 500, 60, worker)


def configure(settings, name, config):
    entries = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in config.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, settings.topic(name), incremental_configs=entries)
    admin = clients.admin(settings)  # lives until the answer is there
    next(iter(admin.incremental_alter_configs([resource]).values())).result(30)


def test_a_topic_made_anew_stops_the_worker_with_one_line(kafka, make_settings):
    settings = make_settings(kafka)
    now = time.time_ns() // 1_000_000
    with WorkerProcess(settings) as worker:
        send(settings, [prediction(now, 10) for _ in range(300)])
        wait_settled(settings, 60, worker)
        assert worker.stop() == 0
    admin = clients.admin(settings)
    name = settings.topic("logs.ml")
    admin.delete_topics([name])[name].result(30)
    time.sleep(2)
    topics.apply(settings, replication_factor=1)
    send(settings, [prediction(now, 10) for _ in range(400)])
    with WorkerProcess(settings) as worker:
        assert worker.process.wait(60) == 1
        assert f"topic {name} was deleted and made anew" in worker.log.read_text().splitlines()[-1]


def forget_source(settings, partition, until):
    """Delete the source records that were folded: from now on only the tables know them."""
    admin = clients.admin(settings)
    place = TopicPartition(settings.topic("logs.ml"), partition, until)
    for future in admin.delete_records([place]).values():
        future.result(timeout=30)
    consumer = clients.consumer(settings)
    assert consumer.get_watermark_offsets(TopicPartition(place.topic, partition), timeout=10)[0] == until
    consumer.close()


FORGETFUL = """
import time
from aiokafka.cluster import ClusterMetadata

update, began = ClusterMetadata.update_metadata, time.monotonic()


def update_metadata(self, metadata):
    if time.monotonic() < began + 15:
        metadata.topics = [topic for topic in metadata.topics if not topic[1].endswith(".logs.ml")]
    update(self, metadata)


ClusterMetadata.update_metadata = update_metadata
"""


@pytest.mark.slow
def test_a_topic_that_a_broker_has_not_told_of_is_read_when_it_has(kafka, make_settings, tmp_path):
    """As a broker that has just started: the group's leader would give the topic to nobody for five minutes."""
    settings = make_settings(kafka)
    topics.apply(settings, replication_factor=1)
    (tmp_path / "sitecustomize.py").write_text(FORGETFUL)
    send(settings, [prediction(long_ago(), 5)])
    with WorkerProcess(settings, tmp_path / "data", PYTHONPATH=f"{tmp_path}:{Path.cwd()}") as worker:
        wait_for(lambda: folded(metrics(settings)) == 1, 60, worker)
