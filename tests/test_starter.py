"""`stream-monitor init`: everything it writes is right as it stands, and nothing of a project is lost."""

from __future__ import annotations

import logging.config
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from stream_monitor import cli, rules, starter
from stream_monitor.settings import Settings
from stream_monitor.shipping.configuration import CONFIGURATIONS

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = sorted(
    ["alerts.yaml", "stream-monitor.toml"]
    + [f"docs/{name}_TEMPLATE.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTION")]
    + [f"logging/{name}" for name in CONFIGURATIONS.values()]
)

CONTENTS = {
    "README": "Overview,Features,Diagram,Installation,Configuration,Usage,Troubleshooting",
    "ARCHITECTURE": "Architecture,Component design,Airflow DAGs,Kafka consumers,ML service,Data flow,"
    "Integration points,Security,Performance,Deployment",
    "CONTRIBUTION": "Responsibilities,Code examples,Metrics,Collaboration,Issues and resolutions,Learnings",
}


def init(folder, capsys):
    code = cli.run(["init", str(folder)])
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_what_a_project_starts_with(tmp_path, capsys):
    code, said, _ = init(tmp_path / "new" / "project", capsys)
    assert code == 0
    assert sorted(tree(tmp_path / "new" / "project")) == WRITTEN
    assert [line.split()[1] for line in said if line.startswith("wrote")] == list(starter.files())


def test_it_overwrites_nothing_and_says_what_it_kept(tmp_path, capsys):
    mine = {"alerts.yaml": b"rules: []\n", "logging/ml_logging.conf": b"mine", "README.md": b"mine, too"}
    (tmp_path / "logging").mkdir()
    for name, text in mine.items():
        (tmp_path / name).write_bytes(text)
    (tmp_path / "stream-monitor.toml").symlink_to(tmp_path / "nowhere")
    code, said, _ = init(tmp_path, capsys)
    assert code == 0
    assert {line.split()[1].rstrip(":") for line in said if line.startswith("kept")} == {
        "alerts.yaml", "logging/ml_logging.conf", "stream-monitor.toml"
    }  # fmt: skip
    assert {name: (tmp_path / name).read_bytes() for name in mine} == mine
    assert not (tmp_path / "nowhere").exists()
    before = tree(tmp_path)
    assert init(tmp_path, capsys)[0] == 0
    assert tree(tmp_path) == before


def test_where_it_cannot_write_it_says_so_in_a_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, _, error = init(tmp_path / "file", capsys)
    assert (code, error.count("\n")) == (1, 1)
    assert str(tmp_path / "file") in error
    (tmp_path / "logging").write_text("a file of that name")
    code, _, error = init(tmp_path, capsys)
    assert (code, error.count("\n")) == (1, 1)
    assert "logging" in error
    assert cli.run(["init"]) == 2


def test_where_nobody_may_write(capsys):
    code, _, error = init("/proc/nowhere", capsys)
    assert (code, error.count("\n")) == (1, 1)


def test_the_rules_are_those_that_ship_and_examples_that_are_right(tmp_path, capsys):
    init(tmp_path, capsys)
    path = tmp_path / "alerts.yaml"
    assert cli.run(["alerts", "check", str(path)]) == 0
    assert rules.load(path).rules == rules.load(None).rules
    text = path.read_text()
    head, mark, tail = text.partition("  # --- Promises of your own")
    assert mark
    examples = re.sub(r"^  # ?", "  ", tail.partition("\n")[2], flags=re.MULTILINE)
    path.write_text(head + examples)
    assert cli.run(["alerts", "check", str(path)]) == 0, capsys.readouterr().out
    assert {rule.name for rule in rules.load(path).rules} - {rule.name for rule in rules.load(None).rules} == {
        "ConsumerLate", "PredictionsSlow", "RunsErrorBudgetBurn"
    }  # fmt: skip


def test_the_settings_are_settings(tmp_path, capsys):
    """What is commented out, too."""
    init(tmp_path, capsys)
    text = (tmp_path / "stream-monitor.toml").read_text()
    given = tomllib.loads(text)
    assert set(given) == {"broker", "prefix", "alert_rules"}
    assert (tmp_path / given["alert_rules"]).exists()
    everything = tomllib.loads(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE))
    assert len(everything) > 10
    found = Settings.load(**everything)
    shown = {"grace": 10.0, "lateness": 3600.0, "http_port": 6066, "kinds": ("airflow", "kafka", "ml")}
    for name, default in shown.items():
        assert getattr(found, name) == Settings.model_fields[name].default == default or name == "kinds"


def test_the_logging_configurations_are_those_that_ship(tmp_path, capsys):
    init(tmp_path, capsys)
    for name in CONFIGURATIONS.values():
        text = (tmp_path / "logging" / name).read_text()
        if name.endswith("yaml"):
            assert logging.config.DictConfigurator(yaml.safe_load(text)).config["version"] == 1
    assert not (tmp_path / "logging" / "__init__.py").exists()


@pytest.mark.parametrize("name", CONTENTS)
def test_a_template_has_the_chapters_that_it_should_have(name):
    text = starter.files()[f"docs/{name}_TEMPLATE.md"]
    chapters = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    wanted = CONTENTS[name].split(",")
    assert [chapter for chapter in chapters if chapter in wanted] == wanted
    for word in re.findall(r"[`/]stream-monitor ([a-z]+)", text):
        assert word in cli.cli.commands, word


@pytest.mark.slow
def test_an_installed_wheel_writes_the_same(tmp_path):
    """From the package's own data: the checkout is out of sight."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    command = [sys.executable, "-m", "stream_monitor", "init", "made"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True)
    assert tree(tmp_path / "made") == {name: text.encode() for name, text in starter.files().items()}
