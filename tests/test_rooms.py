"""The rules between rooms, read from the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "stream_monitor"
FILES = sorted(PACKAGE.rglob("*.py"))
VIEWS = ("board", "charts", "report", "tui", "web", "exporters", "feed", "dlq.py", "doctor")


def imports(path):
    """All modules that a file names, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path):
    return path.relative_to(PACKAGE).parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
class TestEveryFile:
    def test_core_is_pure(self, path):
        if room(path) != "core":
            return
        allowed = ("stream_monitor.core", "numpy", *sys.stdlib_module_names)
        banned = {"asyncio", "datetime", "io", "json", "logging", "os", "pathlib", "socket", "sys", "time"}
        for name in imports(path):
            assert name.startswith(allowed), name
            assert name.split(".")[0] not in banned, name

    def test_only_the_worker_says_faust(self, path):
        heavy = [n for n in imports(path) if n.split(".")[0] in ("faust", "mode", "aiokafka", "rocksdict")]
        allowed = room(path) in ("worker", "clients.py") or path.name in ("driver.py", "stand_ins.py")
        assert not heavy or allowed, heavy

    def test_views_do_not_know_the_worker(self, path):
        if room(path) in VIEWS:
            assert not [name for name in imports(path) if name.startswith("stream_monitor.worker")]

    def test_dashboards_do_not_know_each_other(self, path):
        others = {"tui": ("web",), "web": ("tui",), "board": ("tui", "web"), "charts": ("tui", "web")}
        for other in others.get(room(path), ()):
            assert not [name for name in imports(path) if name.startswith(f"stream_monitor.{other}")]

    def test_shipping_lives_in_other_peoples_processes(self, path):
        if room(path) == "shipping" and path.name not in ("ship.py", "records.py"):
            heavy = (
                "stream_monitor.worker",
                "stream_monitor.settings",
                "stream_monitor.kinds.",
                "stream_monitor.core",
                "stream_monitor.topics",
                "stream_monitor.wire",
                "numpy",
                "pydantic",
                "msgspec",
                "click",
                "rich",
            )
            rows = "stream_monitor.kinds.KINDS"
            assert not [name for name in imports(path) if name.startswith(heavy) and name != rows]

    def test_it_is_short_and_so_are_its_functions(self, path):
        text = path.read_text()
        assert text.count("\n") <= 400
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.lineno < 50, node.name


def test_the_folder_logging_does_not_shadow_the_standard_library():
    assert not (ROOT / "logging" / "__init__.py").exists()
    found = subprocess.run(
        [sys.executable, "-c", "import logging; print(logging.__file__)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert str(ROOT) not in found or ".venv" in found
