"""The pytest plugin, as a project that tests its logs uses it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from stream_monitor.testing import expecting
from stream_monitor.testing.driver import START_MS, Driver

ALONE = ("-p", "no:textual-snapshot", "-p", "stream_monitor.testing.plugin")
"""Textual's plugin takes the outer session's folder away."""
LINE = {"service": "scorer", "model_version": "v2", "latency_ms": 40.0}


class TestExpecting:
    FOUND = (
        {
            "kind": "ml",
            "labels": {"service": "a"},
            "entity": "a",
            "records": 3,
            "measures": {"latency_ms": {"p50": 41.9}},
        },
        {"kind": "ml", "labels": {"service": "b"}, "entity": "b", "records": 4},
    )

    def test_what_is_named_counts_and_nothing_else(self):
        expecting.check([{"labels": {"service": "a"}, "records": 3}, {"records": 4}], self.FOUND)
        expecting.check([{"measures": {"latency_ms": {"p50": pytest.approx(42, rel=0.01)}}}], self.FOUND)

    def test_a_failure_says_what_differs_from_the_closest_first(self):
        with pytest.raises(AssertionError) as wrong:
            expecting.check(
                [{"labels": {"service": "b"}, "records": 5, "measures": {"latency_ms": {}}}], self.FOUND
            )
        lines = str(wrong.value).splitlines()
        assert lines[1].strip().startswith("ml b,")
        assert lines[2:4] == ["    records: 4, expected 5", "    measures: absent, expected {'latency_ms': {}}"]
        assert lines[4].strip().startswith("ml a,")
        with pytest.raises(AssertionError, match="there are no metrics at all"):
            expecting.check([{"records": 1}], [])

    def test_a_number_where_a_mapping_is_expected(self):
        assert expecting.wrong({"records": {"p50": 1}}, {"records": 3}) == ["records: 3, expected {'p50': 1}"]


class TestDriver:
    def test_windows_close_with_time_and_alerts_come_once(self):
        driver = Driver(("ml",))
        driver.log("ml", LINE, LINE)
        assert driver.metrics() == []
        driver.advance(minutes=2)
        driver.expect_metrics({"records": 2, "final": True, "window": {"start": "2024-01-15T10:00:00Z"}})
        assert driver.now_ms == START_MS + 120_000

    def test_late_lines_correct_and_then_are_dead_letters(self):
        driver = Driver(("ml",), lateness=600)
        stamped = {**LINE, "timestamp": START_MS}
        driver.log("ml", stamped)
        driver.advance(minutes=5)
        driver.log("ml", stamped)
        driver.advance(minutes=1)
        driver.expect_metrics({"records": 2, "revision": 2, "window": {"start": "2024-01-15T10:00:00Z"}})
        for _ in range(40):
            driver.log("ml", LINE)
            driver.advance(minutes=1)
        driver.log("ml", stamped)
        driver.advance(minutes=1)
        assert [letter["reason"] for letter in driver.dead_letters()] == ["late"]

    def test_several_kinds_partitions_and_a_recording(self, tmp_path):
        path = tmp_path / "topic.jsonl"
        line = {"topic": "logs.ml", "partition": 1, "timestamp": START_MS + 3_600_000}
        path.write_text(json.dumps({**line, "value": {"service": "s", "model_version": "v"}}))
        driver = Driver(partitions=2)
        assert driver.replay(path) == 1
        driver.log("airflow", {"dag_id": "d", "task_id": "t", "message": "done duration=2"}, partition=1)
        driver.advance(minutes=2)
        driver.expect_metrics(
            {"kind": "ml", "entity": "s/v", "window": {"start": "2024-01-15T11:00:00Z"}},
            {"kind": "airflow", "entity": "d/t", "measures": {"duration_ms": {"max": 2000.0}}},
        )


def test_pytest_starts_without_our_heavy_imports():
    code = "import sys, stream_monitor.testing.plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {*done.stdout.split()} & {"faust", "numpy", "textual", "pydantic", "confluent_kafka", "rocksdict"}


def test_the_fixtures_are_listed_with_what_they_are(pytester):
    listed = pytester.runpytest_inprocess(*ALONE, "--fixtures")
    listed.stdout.fnmatch_lines(["*stream_monitor_broker*", "*stream_monitor_driver*"])
    ours = str(listed.stdout).partition("stream_monitor.testing.plugin -")[2].partition("----")[0]
    assert "no docstring available" not in ours


def test_a_failing_expectation_shows_the_test_and_the_difference(pytester):
    pytester.makepyfile(
        """
        def test_it(stream_monitor_driver):
            driver = stream_monitor_driver(kinds=("ml",))
            driver.log("ml", {"service": "s", "model_version": "v"})
            driver.advance(minutes=2)
            driver.expect_metrics({"labels": {"service": "s"}, "records": 2})
        """
    )
    result = pytester.runpytest_inprocess(*ALONE)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*records: 1, expected 2"])
    assert "expecting.py" not in str(result.stdout)


@pytest.mark.slow
def test_through_the_embedded_broker(pytester, embedded):
    pytester.makeconftest(f"""
        import pytest

        @pytest.fixture(scope="session")
        def stream_monitor_broker():
            return {embedded!r}
        """)
    pytester.makepyfile(
        """
        import pytest

        def test_it(stream_monitor, expect_metrics):
            stream_monitor.log("ml", {"service": "s", "model_version": "v"}, "nonsense")
            expect_metrics({"labels": {"service": "s"}, "records": 1}, within=90)
            with pytest.raises(AssertionError, match="records: 1, expected 2"):
                expect_metrics({"labels": {"service": "s"}, "records": 2}, within=0)
        """
    )
    result = pytester.runpytest_subprocess(*ALONE)
    result.assert_outcomes(passed=1)
