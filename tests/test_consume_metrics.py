"""docs/how-to/consume-metrics.md on Apache Kafka: its Python, its SQL by DuckDB, its Java by the machine's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import duckdb
import pytest

from tests.pages import ROOT, Run, blocks

PAGE = ROOT / "docs" / "how-to" / "consume-metrics.md"


@pytest.fixture
def page(kafka, tmp_path):
    """The page's console and Python blocks, run; its other blocks."""
    folder, prefix = tmp_path / "page", f"t{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    (folder / "fixtures").symlink_to(ROOT / "fixtures")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "STREAM_MONITOR_PREFIX": prefix,
        "STREAM_MONITOR_DATADIR": str(tmp_path / "tables"),
        "STREAM_MONITOR_HTTP_PORT": "0",
        "STREAM_MONITOR_IDLE_AFTER": "1",
    }
    with Run(folder, environment, {"127.0.0.1:9092": kafka, "pipeline.": f"{prefix}."}) as run:
        for block in blocks(PAGE):
            run.block(block)
        yield folder, [block for block in blocks(PAGE) if block.language == "sql"]


@pytest.mark.manual
def test_every_language_says_the_same(page, monkeypatch):
    folder, queries = page
    monkeypatch.chdir(folder)
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    models = {metric["entity"] for metric in metrics}
    assert len(models) == 4

    worst, whole = (duckdb.sql(block.text).fetchall() for block in queries)
    slowest = max(
        m["measures"]["latency_ms"]["p99"] for m in metrics if m["final"] and "latency_ms" in m["measures"]
    )
    assert len(worst) == 5
    assert worst[0][3] == slowest
    assert {entity for entity, _, _ in whole} == models
    assert sum(count for _, _, count in whole) == sum(
        sum(m["measures"]["latency_ms"]["histogram"]["positive"]["bucketCounts"])
        for m in metrics
        if "latency_ms" in m["measures"]
    )

    printed = java(folder).splitlines()
    slow = [m for m in metrics if m["measures"].get("latency_ms", {}).get("p99", 0) > 100]
    said = {tuple(line.split()[:2]) for line in printed}
    assert said == {(m["window"]["start"], m["entity"]) for m in slow}
    assert len(slow) > 10


def java(folder):
    """What SlowModels prints, run as a source file with the jars that the tests' Kafka is made of."""
    libraries = ROOT / ".cache" / "kafka" / "lib"
    if shutil.which("java") is None or not list(libraries.glob("kafka-clients-*.jar")):
        pytest.skip("needs Java, and Kafka's jars in .cache/kafka")
    command = ["java", "-cp", str(libraries / "*"), "SlowModels.java"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
