"""The rules between rooms, read from the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "stream_monitor"
FILES = sorted(PACKAGE.rglob("*.py"))
VIEWS = ("board", "charts", "report", "tui", "web", "exporters", "feed", "dlq.py", "doctor")


@cache
def parsed(path):
    return ast.parse(path.read_text())


@cache
def imports(path):
    """All modules that a file names, also inside functions."""
    names = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def room(path):
    return path.relative_to(PACKAGE).parts[0]


def named(paths, *prefixes):
    """`file: module` for each module, under one of the prefixes, that one of the files names."""
    return [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in paths
        for name in imports(path)
        if name.startswith(prefixes)
    ]


def files_of(*rooms):
    found = [path for path in FILES if room(path) in rooms]
    assert found
    return found


def test_core_is_pure():
    allowed = ("stream_monitor.core", "numpy", *sys.stdlib_module_names)
    banned = {"asyncio", "datetime", "io", "json", "logging", "os", "pathlib", "socket", "sys", "time"}
    for path in files_of("core"):
        for name in imports(path):
            assert name.startswith(allowed), (path, name)
            assert name.split(".")[0] not in banned, (path, name)


def test_only_the_worker_says_faust():
    others = [
        path
        for path in FILES
        if room(path) not in ("worker", "clients.py") and path.name not in ("driver.py", "stand_ins.py")
    ]
    heavy = {"faust", "mode", "aiokafka", "rocksdict"}
    assert not [(path, name) for path in others for name in imports(path) if name.split(".")[0] in heavy]


def test_views_do_not_know_the_worker():
    assert not named(files_of(*VIEWS), "stream_monitor.worker")


@pytest.mark.parametrize(
    ("name", "others"),
    [("tui", ("web",)), ("web", ("tui",)), ("board", ("tui", "web")), ("charts", ("tui", "web"))],
)
def test_dashboards_do_not_know_each_other(name, others):
    assert not named(files_of(name), *(f"stream_monitor.{other}" for other in others))


def test_shipping_lives_in_other_peoples_processes():
    paths = [path for path in files_of("shipping") if path.name not in ("ship.py", "records.py")]
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
    assert [name for name in named(paths, *heavy) if not name.endswith(": stream_monitor.kinds.KINDS")] == []


def test_a_file_is_short_and_so_are_its_functions():
    for path in FILES:
        assert path.read_text().count("\n") <= 400, path
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.lineno < 50, (path, node.name)


def test_the_folder_logging_does_not_shadow_the_standard_library():
    assert not (ROOT / "logging" / "__init__.py").exists()
    found = subprocess.run(
        [sys.executable, "-c", "import logging; print(logging.__file__)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert str(ROOT) not in found or ".venv" in found
