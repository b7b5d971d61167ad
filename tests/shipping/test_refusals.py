"""What Kafka does not take costs nothing else: a topic that is missing, a log too large, what others left."""

from __future__ import annotations

import logging
import os
import re
import time
from dataclasses import replace

import orjson
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from stream_monitor import clients, topics
from stream_monitor.shipping import KafkaHandler
from stream_monitor.shipping.connection import Connection
from stream_monitor.shipping.frame import Item
from stream_monitor.shipping.spool import Spool
from tests.shipping.reading import header, messages
from tests.workers import wait_for

LABELS = {"service": "s", "model_version": "v"}


def made(logger, settings, tmp_path, **options):
    handler = KafkaHandler(broker=settings.broker, prefix=settings.prefix, spool_dir=tmp_path, **options)
    logger.addHandler(handler)
    return handler


def left(broker, tmp_path, topic, count, at_s):
    """What a killed process leaves: a spool of so many logs, begun at that time."""
    root = tmp_path / Connection(broker=broker).address_id
    spool = Spool.create(root, 10_000_000)
    spool.append([Item(n, topic, "s/v", orjson.dumps({**LABELS, "n": n})) for n in range(count)])
    os.utime(spool.folder / "lock", (at_s, at_s))
    spool.forget()
    return spool.folder


def said(found):
    return [orjson.loads(message.value())["n"] for message in found]


def test_what_was_left_for_a_topic_that_is_not_there_holds_nobody_up(
    kafka, make_settings, logger, tmp_path, caplog
):
    settings, other = make_settings(kafka), make_settings(kafka, apply=False)
    folders = [
        left(kafka, tmp_path, other.topic("logs.ml"), 300, 1e9),
        *(left(kafka, tmp_path, settings.topic("logs.ml"), 10, 1e9 + 1 + n) for n in range(40)),
    ]
    with caplog.at_level(logging.WARNING, "stream_monitor.shipping"):
        for attempt in range(2):
            handler = made(logger, settings, tmp_path)
            logger.info("x", extra={**LABELS, "n": 100 + attempt})
            assert handler.wait_delivered(60)
            logger.removeHandler(handler)
            handler.close()
    assert said(messages(settings)) == [*list(range(10)) * 40, 100, 101]
    assert [folder for folder in folders if folder.exists()] == folders[:1]
    assert caplog.text.count("300 logs that an ended process left in") == 1
    assert f"are set aside: logs wait: {other.topic('logs.ml')}: " in caplog.text
    assert not handler.lost
    topics.apply(other, replication_factor=1)
    os.utime(folders[0] / "aside", (1e9, 1e9))
    handler = made(logger, settings, tmp_path)
    logger.info("x", extra={**LABELS, "n": 102})
    wait_for(lambda: not folders[0].exists(), 60)
    assert said(messages(other)) == list(range(300))


def test_a_topic_that_is_missing_holds_up_no_other(kafka, make_settings, logger, tmp_path):
    settings = make_settings(kafka)
    handler = made(logger, settings, tmp_path)
    handler._limits = replace(handler._limits, flush_timeout_s=0.1)
    handler._topics["airflow"] = f"{settings.prefix}.nowhere"
    for number in range(1000):
        logger.info("x", extra={"dag_id": "d", "n": number} if number % 2 else {**LABELS, "n": number})
    wait_for(lambda: len(messages(settings)) == 500, 60)
    assert said(messages(settings)) == list(range(0, 1000, 2))
    assert handler.counts["in_flight"] == 500
    assert not handler.lost


def shrink(settings, name, limit):
    """The topic takes no batch above that many bytes."""
    entry = ConfigEntry("max.message.bytes", str(limit), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, settings.topic(name), incremental_configs=[entry])
    admin = clients.admin(settings)  # lives until the answer is there
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)
    time.sleep(1)  # the broker takes it a moment later


def test_of_a_batch_with_one_that_is_too_large_that_one_is_lost(kafka, make_settings, logger, tmp_path, caplog):
    settings = make_settings(kafka)
    shrink(settings, "logs.ml", 20_000)
    handler = made(logger, settings, tmp_path)
    noise = [os.urandom(20_000).hex() for _ in range(3)]  # lz4 can do nothing about it
    with caplog.at_level(logging.WARNING, "stream_monitor.shipping"):
        for number in range(600):
            message = noise[number // 200] if number % 200 == 100 else "x"
            logger.info(message, extra={**LABELS, "n": number})
        assert handler.wait_delivered(60)
        handler.close()
    found = messages(settings)
    assert sorted(said(found)) == [n for n in range(600) if n % 200 != 100]
    assert len({header(message, "ce_id") for message in found}) == len(found)
    assert handler.lost == {"refused": 3}
    assert sum(map(int, re.findall(r"(\d+) log records were lost", caplog.text))) == 3
    assert f"{settings.topic('logs.ml')} refused a log: Broker: Message size too large" in caplog.text
