"""A record as JSON: what is in it, where it comes from, and that anything comes through."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.kinds import KINDS
from stream_monitor.shipping import JsonFormatter, bind, context
from stream_monitor.shipping.entity import entity, kind_of
from stream_monitor.shipping.formatter import MAX_BYTES, capture, encoded


@contextlib.contextmanager
def caught_records():
    logger, caught, handler = logging.getLogger("app.part"), [], logging.Handler()
    logger.setLevel(logging.INFO)
    logger.propagate = False  # pytest's own handler raises for what cannot be formatted
    handler.emit = caught.append
    logger.addHandler(handler)
    yield logger, caught
    logger.removeHandler(handler)
    logger.propagate = True


def line(message="hello", *args, formatter=None, exc_info=None, at=logging.INFO, **extra):
    with caught_records() as (logger, caught):
        logger.log(at, message, *args, extra=extra, exc_info=exc_info)
    return orjson.loads((formatter or JsonFormatter()).format(caught[0]))


def test_the_plain_ones():
    record = logging.makeLogRecord({"name": "n", "levelname": "INFO", "msg": "a %s", "args": ("b",)})
    record.created = 1705314600.999
    assert JsonFormatter().format(record) == (
        '{"timestamp":"2024-01-15T10:30:00.999Z","level":"INFO","logger":"n","message":"a b"}'
    )


def test_who_wins():
    formatter = JsonFormatter(fields={"a": "fixed", "b": "fixed", "c": "fixed"})
    with context(b="context", c="context"), context(c="inner"):
        found = line(formatter=formatter, c="call")
    assert (found["a"], found["b"], found["c"]) == ("fixed", "context", "call")
    assert line(formatter=formatter)["c"] == "fixed"


def test_a_logger_adapter():
    with caught_records() as (logger, caught):
        logging.LoggerAdapter(logger, {"dag_id": "etl", "task_id": "load"}).warning("late")
    found = orjson.loads(JsonFormatter().format(caught[0]))
    assert (found["level"], found["dag_id"], found["task_id"]) == ("WARNING", "etl", "load")


def test_threads_and_tasks_have_contexts_of_their_own():
    async def work(number):
        with context(number=number):
            await asyncio.sleep(0)
            bind(more=number)
            await asyncio.sleep(0)
            return line()

    async def all_of_it():
        return await asyncio.gather(*map(work, range(20)))

    assert [(found["number"], found["more"]) for found in asyncio.run(all_of_it())] == [(n, n) for n in range(20)]
    found = []
    with context(here=True):
        thread = threading.Thread(target=lambda: found.append(line()))
        thread.start()
        thread.join()
    assert "here" not in found[0]


class Odd:
    def __str__(self):
        raise RuntimeError("no")


def test_exceptions_say_type_message_and_stack():
    try:
        {}["id"]
    except KeyError:
        found = line("failed", exc_info=True, at=logging.ERROR)
    assert (found["error.type"], found["error.message"]) == ("KeyError", "'id'")
    assert found["error.stack_trace"].startswith("Traceback")
    assert found["error.stack_trace"].endswith("KeyError: 'id'")
    lines = KINDS["airflow"].decode([orjson.dumps(found | {"dag_id": "d"})], np.array([0])).lines
    assert lines.exceptions == {0: "KeyError"}
    assert "error.type" not in line("none", exc_info=(None, None, None))


def test_arguments_that_do_not_fit_are_said():
    assert line("%d of %s", "x", Odd())["message"].startswith("%d of %s % ")
    assert line("%s", Odd())["message"]


def test_what_json_cannot_say():
    found = line(
        s={1}, b=b"x", n=1 << 70, o=object, d={1: 2}, nan=math.nan, bad="\ud800", odd=Odd(), np=np.float64(1.5),
        array=np.array([1, 2]), level="mine",
    )  # fmt: skip
    assert found["s"] == [1]
    assert found["b"] == "x"
    assert found["n"] == str(1 << 70)
    assert found["d"] == {"1": 2}
    assert found["nan"] is None
    assert found["np"] == 1.5
    assert found["array"] == [1, 2]
    assert found["level"] == "INFO"
    assert found["extra_level"] == "mine"
    assert "cannot be shown" in found["odd"]


def test_what_changes_after_the_call_is_written_as_it_was():
    record = logging.makeLogRecord({"name": "n", "levelname": "INFO", "msg": "%s", "args": ([1],)})
    record.items = [1]
    captured = capture(record)
    record.items.append(2)
    record.args[0].append(2)
    record.later = "no"
    found = orjson.loads(encoded(JsonFormatter().fields(captured)))
    assert (found["message"], found["items"]) == ("[1]", [1])
    assert "later" not in found


def test_a_context_is_captured_as_it_is():
    rows = [1]
    with context(rows=rows, name="n"):
        captured = capture(logging.makeLogRecord({"name": "n", "levelname": "INFO", "msg": "x"}))
    rows.append(2)
    found = orjson.loads(encoded(JsonFormatter().fields(captured)))
    assert (found["rows"], found["name"]) == ([1], "n")


def test_a_line_that_redaction_makes_longer_is_cut_again():
    found = line("x", s=["password=a"] * 20_000)
    assert len(orjson.dumps(found)) <= MAX_BYTES


def test_a_long_record_is_cut_and_stays_json():
    found = line("x" * 2_000_000, trace="y" * 2_000_000, many=["z" * 1000] * 1000)
    assert len(orjson.dumps(found)) <= MAX_BYTES
    assert found["message"].startswith("xxx")
    assert "left out" in found["message"]
    assert "left out" in found["many"]


@pytest.mark.parametrize("extra", [{"k" * 260_000: 1}, {f"feature_{n}": n for n in range(30_000)}])
def test_names_and_many_fields_are_bounded_too(extra):
    found = line("what it says", **extra)
    assert len(orjson.dumps(found)) <= MAX_BYTES
    assert found["message"] == "what it says"
    assert len(found) > 4
    if len(extra) > 1:
        features = sum(name.startswith("feature_") for name in found)
        assert found["fields_left_out"] == len(extra) - features


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.sets(st.integers()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)


@given(st.text(), st.dictionaries(st.text().filter(lambda n: n not in ("message", "asctime")), JSON, max_size=4))
def test_anything_becomes_a_line(message, extra):
    record = logging.makeLogRecord({"name": "n", "levelname": "INFO", "msg": message})
    record.__dict__.update({k: v for k, v in extra.items() if k not in record.__dict__})
    orjson.loads(JsonFormatter().format(record))


class TestEntities:
    def test_labels_are_those_of_the_kinds(self):
        assert {name: kind.labels for name, kind in KINDS.items()} == {n: r.labels for n, r in KINDS.rows.items()}

    @pytest.mark.parametrize("kind", ["airflow", "kafka", "ml"])
    def test_what_has_a_key_is_what_the_worker_takes(self, kind):
        """By label: absent, empty, no text, or there."""
        one, two = KINDS.rows[kind].labels
        for a in (None, "", 5, "a"):
            for b in (None, "", 5, "b"):
                fields = {name: value for name, value in ((one, a), (two, b)) if value is not None}
                decoded = KINDS[kind].decode([orjson.dumps(fields)], np.array([1_705_314_600_000]))
                if entity(kind, fields) is not None and 5 not in fields.values():
                    assert not decoded.rejected
                    assert kind_of(fields) == kind
                if decoded.rejected:
                    assert entity(kind, fields) is None or 5 in fields.values()

    def test_keys(self):
        assert entity("airflow", {"dag_id": "d", "task_id": "t"}) == "d/t"
        assert entity("airflow", {"dag_id": "d"}) == "d"
        assert entity("ml", {"service": "s"}) is None
        assert kind_of({"dag_id": "d", "service": "s", "model_version": "v"}) == "ml"
        assert kind_of({"message": "x"}) is None
