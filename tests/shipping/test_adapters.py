"""What the adapters say, and what the worker makes of it: measured lag, predictions, and runs through a worker."""

from __future__ import annotations

import asyncio
import logging
import time

import aiokafka
import numpy as np
import orjson
import pytest
from confluent_kafka import Consumer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor import clients
from stream_monitor.kinds import KINDS
from stream_monitor.shipping import JsonFormatter, KafkaHandler
from stream_monitor.shipping.consumer import AiokafkaReporter, reporting
from stream_monitor.shipping.frame import frames
from stream_monitor.shipping.prediction import log_predictions, outcomes_of, predicting
from tests.workers import WorkerProcess, everything, wait_for


class Lines(logging.Handler):
    """What was logged, as the dictionaries that are shipped."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle(self, record):
        self.found.append(orjson.loads(JsonFormatter().format(record)))


def items(root):
    """What spools hold."""
    return [frame.item for path in root.rglob("*.log") for frame in frames(path, 0)]


class NoKafka(KafkaHandler):
    """Keeps an adapter from making one of its own."""

    def handle(self, record):
        return True


@pytest.fixture
def caught():
    """What the adapters log."""
    handlers = lines, _ = Lines(), NoKafka(broker="127.0.0.1:1", spool_dir=None)
    for name in ("ml.predictor", "kafka.consumer.stats"):
        for handler in handlers:
            logging.getLogger(name).addHandler(handler)
    yield lines.found
    for name in ("ml.predictor", "kafka.consumer.stats"):
        for handler in handlers:
            logging.getLogger(name).removeHandler(handler)


SECRET = "a very private input"


class TestPredictions:
    no_kafka = NoKafka(broker="127.0.0.1:1", spool_dir=None)

    def test_a_call(self, caught):
        @log_predictions(model_version="v1", service="ml.s")
        def predict(row):
            """Its own words."""
            return "legit", 0.75

        assert predict(SECRET) == ("legit", 0.75)
        assert (predict.__name__, predict.__doc__) == ("predict", "Its own words.")
        (line,) = caught
        assert (line["service"], line["model_version"]) == ("ml.s", "v1")
        assert (line["prediction"], line["confidence"]) == ("legit", 0.75)
        assert 0 <= line["latency_ms"] < 1000
        assert SECRET not in str(caught)

    def test_an_error_says_its_type_and_no_input(self, caught):
        @log_predictions(model_version="v1")
        def predict(row):
            raise ValueError(f"could not convert {row}")

        with pytest.raises(ValueError, match=SECRET):
            predict(SECRET)
        (line,) = caught
        assert (line["level"], line["error.type"]) == ("ERROR", "ValueError")
        assert line["service"].endswith("predict")
        assert SECRET not in str(caught)

    def test_a_coroutine(self, caught):
        @log_predictions(model_version="v1", service="s")
        async def predict(row):
            await asyncio.sleep(0.01)
            return {"label": "a", "score": 0.5}

        assert asyncio.run(predict(SECRET)) == {"label": "a", "score": 0.5}
        assert caught[0]["latency_ms"] >= 10
        assert (caught[0]["prediction"], caught[0]["confidence"]) == ("a", 0.5)

    def test_a_batch_is_as_many_records(self, caught):
        @log_predictions(model_version="v1", service="s", classes=["no", "yes"])
        def predict(rows):
            return np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]])

        predict(SECRET)
        assert [(line["prediction"], line["confidence"]) for line in caught] == [
            ("yes", 0.75),
            ("no", 0.5),
            ("no", 1.0),
        ]
        assert {line["batch_size"] for line in caught} == {3}

    def test_a_block(self, caught):
        with predicting(model_version="v1", service="s") as result:
            result.predicted("a", 0.5)
            result.predicted("b")
        with predicting(model_version="v1", service="s"):
            pass
        with pytest.raises(KeyError), predicting(model_version="v1", service="s"):
            raise KeyError(SECRET)
        assert [line.get("prediction") for line in caught] == ["a", "b", None, None]
        assert SECRET not in str(caught)

    @given(
        st.recursive(
            st.none() | st.text() | st.floats() | st.integers() | st.booleans() | st.binary(),
            lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_any_result_comes_back_and_what_is_said_is_taken(self, result):
        found = []
        logger = logging.getLogger("ml.fuzzed")
        logger.propagate, lines = False, Lines()
        lines.found = found
        logger.handlers = [lines, self.no_kafka]
        predict = log_predictions(model_version="v", service="s", logger="ml.fuzzed")(lambda: result)
        assert predict() is result
        decoded = KINDS["ml"].decode([orjson.dumps(line) for line in found], np.zeros(len(found), dtype=np.int64))
        assert not decoded.rejected

    def test_without_a_kafka_handler_it_makes_one_and_wrong_settings_fail_no_call(self, monkeypatch, caplog):
        monkeypatch.setenv("STREAM_MONITOR_BROKER", "nonsense")
        monkeypatch.setattr("stream_monitor.shipping.emitter._spares", {})
        predict = log_predictions(model_version="v", service="s", logger="ml.alone")(lambda: "a")
        with caplog.at_level(logging.WARNING, "stream_monitor.shipping"):
            assert [predict(), predict()] == ["a", "a"]
        assert caplog.text.count("cannot ship to Kafka: broker address 'nonsense'") == 1

    def test_in_a_process_configured_for_another_kind_they_are_shipped_where_that_ships(self, tmp_path):
        logger = logging.getLogger("ml.elsewhere")
        logger.propagate = False
        other = KafkaHandler("airflow", broker="127.0.0.1:2", spool_dir=tmp_path, fields={"a": 1}, redact="legit")
        logger.addHandler(other)
        predict = log_predictions(model_version="v", service="s", logger="ml.elsewhere")(lambda: "yes")
        assert [predict() for _ in range(5)] == ["yes"] * 5
        wait_for(lambda: len(items(tmp_path)) == 5, 10)
        found = items(tmp_path)
        assert {item.topic for item in found} == {"pipeline.logs.ml"}
        assert {(orjson.loads(item.value)["prediction"], orjson.loads(item.value)["a"]) for item in found} == {
            ("yes", 1)
        }
        assert not other.lost
        logger.removeHandler(other)
        other.close()

    def test_outcomes(self):
        assert outcomes_of(np.array(["a", "b"])) == [("a", None), ("b", None)]
        assert outcomes_of([("a", 0.5)]) == [("a", 0.5)]
        assert outcomes_of(object()) == [(None, None)]
        assert outcomes_of("x" * 1000) == [(None, None)]


def produced(settings, count):
    """That many records in the topic dlq, which nobody else reads here."""
    producer = clients.producer(settings)
    for _ in range(count):
        producer.produce(settings.topic("dlq"), b"x", partition=0)
    producer.flush()


def test_a_consumer_that_falls_behind_through_the_worker(kafka, make_settings, tmp_path):
    """Measured while it fetches nothing any more, which is when librdkafka's own figure is old."""
    settings, group = make_settings(kafka), f"g{time.time_ns()}"
    produced(settings, 1000)
    handler = KafkaHandler(broker=kafka, prefix=settings.prefix, spool_dir=tmp_path / "spool")
    logging.getLogger("kafka.consumer.stats").addHandler(handler)
    own = []
    config = {**clients.client_config(settings), "group.id": group, "auto.offset.reset": "earliest"}
    consumer = Consumer(reporting({**config, "stats_cb": own.append}, interval_s=0.5))
    consumer.subscribe([settings.topic("dlq")])
    taken = 0
    while taken < 100:
        taken += consumer.poll(1) is not None
    consumer.pause(consumer.assignment())
    produced(settings, 3000)
    place = TopicPartition(settings.topic("dlq"), 0)
    end = consumer.get_watermark_offsets(place, timeout=10, cached=False)[1]
    lag = end - consumer.position([place])[0].offset
    assert (end, lag) == (4000, 3900)
    with WorkerProcess(settings) as worker:

        def is_measured():
            consumer.poll(0.1)
            return lag in lags(settings, group)

        wait_for(is_measured, 60, worker)
    assert max(lags(settings, group)) == lag
    assert own
    consumer.close()
    logging.getLogger("kafka.consumer.stats").removeHandler(handler)
    handler.close()


def lags(settings, group):
    """What the metrics say of the group's lag, newest and highest, in all results so far."""
    found = set()
    for name in ("metrics.live", "metrics.1m"):
        for _, value in everything(settings, name):
            result = orjson.loads(value)
            if result["labels"].get("consumer_group") == group:
                gauge = result["gauges"]["consumer_lag"]["0"]
                found |= {gauge["last"], gauge["max"]}
    return found


def test_an_aiokafka_consumer(kafka, make_settings, caught):
    settings = make_settings(kafka)
    produced(settings, 1000)

    async def falls_behind():
        consumer = aiokafka.AIOKafkaConsumer(
            settings.topic("dlq"), bootstrap_servers=kafka, group_id="slow", auto_offset_reset="earliest"
        )
        await consumer.start()
        for _ in range(100):
            await consumer.getone()
        async with AiokafkaReporter(consumer, "slow", interval_s=0.2):
            while len(caught) < 4:
                await asyncio.sleep(0.05)
        await consumer.stop()

    asyncio.run(falls_behind())
    assert caught[-1]["consumer_lag"] == 900
    for line in caught:
        assert line["consumer_lag"] == line["end_offset"] - line["position"]
    decoded = KINDS["kafka"].decode([orjson.dumps(line) for line in caught], np.zeros(len(caught), dtype=np.int64))
    assert not decoded.rejected
    assert caught[-1]["messages_per_second"] == 0
