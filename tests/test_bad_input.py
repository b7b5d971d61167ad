"""Bad input: each record lands in the DLQ with its reason and coordinates, or is counted; the worker goes on."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter

import jsonschema

from stream_monitor import clients, recording, replay
from stream_monitor.broker import free_port
from stream_monitor.data import data_dir
from stream_monitor.recording import Recorded
from tests.workers import WorkerProcess, everything, wait_for, wait_settled

BAD = data_dir("fixtures") / "bad_records.jsonl"
MIB = 1 << 20


def hostile():
    """(record, what must become of it): the fixture's, and some too long for a file."""
    expects = [json.loads(line)["expect"] for line in BAD.read_text().splitlines()]
    yield from zip(recording.read(BAD), expects, strict=True)
    good = b'{"service":"s","model_version":"v","latency_ms":5}'
    for value, expect in (
        (good.ljust(2 * MIB), "too_large"),
        (good.ljust(MIB), "folded"),
        (b'{"service":"' + b"x" * 2 * MIB + b'"}', "too_large"),
        (b'{"a":' * 20_000, "not_json"),
        (good, "folded"),
    ):
        yield Recorded("logs.ml", 1_705_365_000_000, value, None, 0), expect


def counters(port):
    """{(topic, partition): {outcome: times}} of the worker's /metrics."""
    found: dict[tuple[str, str], Counter[str]] = {}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        for line in page.read().decode().splitlines():
            if line.startswith("stream_monitor_records_total{"):
                labels = dict(part.split("=") for part in line[line.index("{") + 1 : line.index("}")].split(","))
                place = labels["topic"].strip('"'), labels["partition"].strip('"')
                found.setdefault(place, Counter())[labels["outcome"].strip('"')] = int(float(line.split()[-1]))
    return found


def test_every_hostile_record_is_folded_or_in_the_dlq_with_its_reason(embedded, make_settings):
    settings = make_settings(embedded, http_port=free_port())
    cases = list(hostile())
    offsets: Counter[tuple[str, int]] = Counter()
    wanted = {}
    sender = replay.Sender(settings)
    for record, expect in cases:
        sender.send(record)
        place = (settings.topic(record.topic), record.partition)
        if expect != "folded":
            wanted[(*place, offsets[place])] = expect
        offsets[place] += 1
    sender.close()
    with WorkerProcess(settings) as worker:
        wait_settled(settings, 60, worker)
        found = {}
        schema = jsonschema.Draft202012Validator(json.loads((data_dir("topics") / "dlq.schema.json").read_text()))
        for key, value in everything(settings, "dlq"):
            letter = json.loads(value)
            schema.validate(letter)
            source = letter["source"]
            assert json.loads(key) == [source["topic"], source["partition"], source["offset"]]
            found[source["topic"], source["partition"], source["offset"]] = letter["reason"]
        assert found == wanted
        check_conservation(counters(settings.http_port), len(cases), len(wanted), settings)
        assert worker.stop() == 0


def test_what_others_write_to_the_partials_topic_is_a_dead_letter(embedded, make_settings):
    settings = make_settings(embedded, http_port=free_port())
    with WorkerProcess(settings) as worker:
        producer = clients.producer(settings)
        for value in (b"", None, b"{}", b"\xc1", b"\x93\x01\xa1p\xc0", b"\x91" * 5000):
            producer.produce(settings.topic("partials"), value, partition=0)
        producer.flush(10)
        wait_settled(settings, 60, worker)
        wait_for(lambda: len(everything(settings, "dlq")) == 6, 20, worker)
        assert {json.loads(value)["reason"] for _, value in everything(settings, "dlq")} == {"not_internal"}
        assert worker.stop() == 0


def check_conservation(found, sent, rejected, settings):
    """read = folded + rejected, in every source partition and in all."""
    total = Counter()
    for (topic, _), outcomes in found.items():
        if topic.startswith(settings.topic("logs.")):
            others = sum(times for name, times in outcomes.items() if name not in ("read", "folded"))
            assert outcomes["read"] == outcomes["folded"] + others
            total += outcomes
    assert total["read"] == sent
    assert total["folded"] == sent - rejected


def test_a_replay_rejects_the_same_records_under_the_same_keys(kafka, make_settings, tmp_path):
    """Killed before its checkpoint the worker reads again; the DLQ gets the same keys, and no others."""
    settings = make_settings(kafka)
    bad = [record for record, expect in hostile() if expect == "not_json"]
    sender = replay.Sender(settings)
    for record in bad:
        sender.send(record)
    sender.close()
    for times, datadir in enumerate(("one", "two"), 1):
        with WorkerProcess(settings, tmp_path / datadir, STREAM_MONITOR_CHECKPOINT_INTERVAL="300") as worker:
            wait_for(lambda n=times: len(everything(settings, "dlq")) >= n * len(bad), 60, worker)
    keys = Counter(key for key, _ in everything(settings, "dlq"))
    assert set(keys.values()) == {2}
    assert len(keys) == len(bad)
