"""docs/how-to/add-a-kind.md, followed to the letter in a copy of the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import ROOT, Run, blocks

PAGE = ROOT / "docs" / "how-to" / "add-a-kind.md"


@pytest.fixture
def copy(tmp_path):
    """What git knows of the checkout, as it is now."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).exists():
            (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "copy" / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path / "copy"


@pytest.fixture
def environment(embedded, copy, tmp_path):
    """`python` and `stream-monitor` are those of the copy."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "stream-monitor").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stream_monitor "$@"\n')
    (tools / "stream-monitor").chmod(0o755)
    return {
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(copy),
        "STREAM_MONITOR_BROKER": embedded,
        "STREAM_MONITOR_DATADIR": str(tmp_path / "tables"),
        "STREAM_MONITOR_HTTP_PORT": "0",
    }


@pytest.mark.manual
@pytest.mark.slow
def test_a_kind_is_one_file_one_row_and_one_folder(copy, environment):
    before = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()}
    found = blocks(PAGE)
    with Run(copy, environment) as run:
        for block in found:
            run.block(block)
        made = {str(path) for path in _files(copy) - before}
        assert made == {
            "stream_monitor/kinds/spark.py", "fixtures/spark/logs.jsonl", "fixtures/spark/expected.jsonl"
        }  # fmt: skip
        wrong = copy / "fixtures" / "spark" / "expected.jsonl"
        wrong.write_text(wrong.read_text().replace('"max":64000', '"max":64001'))
        code, printed = run.shell.run("python -m pytest -q tests/test_fixtures.py -k folder")
        assert code == 1, printed
        assert "64001" in printed


def _files(folder):
    made_by_running = {"__pycache__", ".pytest_cache", ".hypothesis", ".benchmarks"}
    paths = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {path for path in paths if not made_by_running & set(path.parts)}


def test_a_kind_that_there_is_not_is_called_otherwise_in_the_other_tests():
    """Where spark is added they go on to pass."""
    for path in (ROOT / "tests").rglob("*.py"):
        if path != Path(__file__):
            assert not re.search(r"""["'.]spark["':]""", path.read_text(encoding="utf-8")), path.name
