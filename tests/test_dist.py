"""What is shipped: the sdist and the wheel, and the wheel in an environment that has never seen the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from stream_monitor import __version__

ROOT = Path(__file__).resolve().parent.parent
DATA = ("alerts", "topics", "fixtures", "logging", "docs/templates")

pytestmark = [pytest.mark.slow, pytest.mark.manual]


def build(source, folder, *targets):
    """The files that hatchling makes of a source tree, by suffix."""
    flags = [flag for target in targets for flag in ("-t", target)]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder, *flags],
        cwd=source,
        check=True,
        capture_output=True,
    )
    return {path.suffix: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("dist"), "sdist", "wheel")


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {*archive.namelist()}


def tracked(folder):
    """The files of a folder that belong to the project."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return listed.stdout.split()


def test_the_wheel_has_all_data_types_and_what_is_found_by_name(built):
    inside = names(built[".whl"])
    missing = [path for folder in DATA for path in tracked(folder) if f"stream_monitor/_data/{path}" not in inside]
    assert not missing
    assert {"stream_monitor/py.typed", "stream_monitor/testing/kafka.pom.xml"} <= inside
    assert {*tracked("stream_monitor")} <= inside
    assert not [name for name in inside if name.startswith(("tests/", "bench/"))]
    with zipfile.ZipFile(built[".whl"]) as archive:
        points = archive.read(f"stream_monitor-{__version__}.dist-info/entry_points.txt").decode()
    assert "stream-monitor = stream_monitor.__main__:main" in points
    assert "stream_monitor.testing.plugin = stream_monitor.testing.plugin" in points
    assert "StreamMonitorPlugin" in points


def test_the_wheel_of_the_sdist_is_the_wheel(built, tmp_path):
    with tarfile.open(built[".gz"]) as archive:
        archive.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    [source] = tmp_path.iterdir()
    assert (source / "LICENSE").is_file()
    again = build(source, tmp_path / "again", "wheel")
    assert names(again[".whl"]) == names(built[".whl"])


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The folder of programs of an environment with the wheel; its dependencies are borrowed from this one."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [site] = folder.glob("lib/python3*/site-packages")
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "-q",
        "install",
        "--no-deps",
        "--no-index",
    ]
    python = folder / "bin" / "python"
    subprocess.run([*command[:3], "--python", python, *command[3:], built[".whl"]], check=True)
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def run(installed, folder, *command):
    """(exit code, stdout, stderr) of a program there, in an empty folder, with nothing of ours around."""
    environment = {"PATH": f"{installed}:{os.environ['PATH']}", "HOME": str(folder), "LANG": "C.UTF-8"}
    done = subprocess.run(
        [installed / command[0], *map(str, command[1:])], cwd=folder, env=environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_it_runs_in_an_empty_folder(installed, embedded, tmp_path):
    where = run(installed, tmp_path, "python", "-c", "import stream_monitor; print(stream_monitor.__file__)")[1]
    assert str(installed.parent) in where
    assert run(installed, tmp_path, "stream-monitor", "--version")[1] == f"stream-monitor, version {__version__}\n"
    at = ("--broker", embedded, "--prefix", "wheel")
    code, out, error = run(installed, tmp_path, "stream-monitor", "topics", "plan", *at)
    assert (code, out.count("create wheel."), error) == (1, 15, "")
    assert run(installed, tmp_path, "stream-monitor", "topics", "apply", *at)[0] == 0
    assert run(installed, tmp_path, "stream-monitor", "topics", "plan", *at)[0] == 0
    assert run(installed, tmp_path, "stream-monitor", "alerts", "check")[0] == 0
    assert run(installed, tmp_path, "stream-monitor", "doctor", *at)[0] == 0
    assert run(installed, tmp_path, "stream-monitor", "init", "project")[0] == 0
    assert [*tmp_path.iterdir()] == [tmp_path / "project"]


def test_pytest_finds_the_plugin_by_itself(installed, tmp_path):
    (tmp_path / "test_it.py").write_text(
        "def test_it(stream_monitor_driver):\n"
        "    driver = stream_monitor_driver(kinds=('ml',))\n"
        "    driver.log('ml', {'service': 's', 'model_version': 'v'})\n"
        "    driver.advance(minutes=2)\n"
        "    driver.expect_metrics({'records': 1, 'final': True})\n"
    )
    code, out, _ = run(installed, tmp_path, "python", "-m", "pytest", "-q", "test_it.py")
    assert code == 0, out
    assert "1 passed" in out


def test_its_types_are_seen_by_whoever_uses_it(installed, tmp_path):
    (tmp_path / "consumer.py").write_text(
        "from stream_monitor.shipping import KafkaHandler, configure\n"
        "configure('ml', log_dir='/tmp', broker='kafka-1:9092')\n"
        "handler: KafkaHandler = KafkaHandler('ml')\n"
        "configure(5)\n"
    )
    flags = ("--strict", "--python-executable", installed / "python", "--cache-dir", tmp_path / "cache")
    code, out, _ = run(installed, tmp_path, "python", "-m", "mypy", *flags, "consumer.py")
    assert code == 1, out
    assert [line.split(": ", 1)[0] for line in out.splitlines() if "error" in line][:-1] == ["consumer.py:4"], out
    assert "py.typed" not in out
