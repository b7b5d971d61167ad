"""The documents against the code."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from stream_monitor import command_pages, topic_pages, topics
from stream_monitor.cli import cli
from stream_monitor.data import data_dir
from stream_monitor.kinds import KINDS
from stream_monitor.reference import (
    ALERTS_PAGE,
    CLI_PAGE,
    PAGE,
    RULES_SCHEMA,
    alerts_page,
    rules_schema,
    settings_page,
)
from stream_monitor.worker import health
from tests.pages import pages

NAMES = {"stream_monitor_alerts", "stream_monitor_driver", "stream_monitor_broker"}
"""A rule's group, and fixtures of the pytest plugin."""
ROOT = Path(__file__).resolve().parent.parent


def test_the_page_of_the_commands_is_that_of_the_code():
    assert CLI_PAGE.read_text(encoding="utf-8") == command_pages.page()


def test_the_settings_page_is_that_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == settings_page()


def test_the_alerts_page_and_the_rules_schema_are_those_of_the_code():
    page = ALERTS_PAGE.read_text(encoding="utf-8")
    assert page == alerts_page(page)
    assert RULES_SCHEMA.read_text(encoding="utf-8") == rules_schema()


def test_the_pages_on_topics_are_those_of_the_declarations():
    for name, page in topic_pages.pages().items():
        assert (PAGE.parent / name).read_text(encoding="utf-8") == page, (
            f"{name}: python -m stream_monitor.reference"
        )


def test_the_pages_on_topics_name_all_that_is_declared():
    found = topic_pages.pages()
    for topic in topics.declared():
        name = re.sub(rf"\.({'|'.join(KINDS)})$", ".{kind}", topic.name)
        assert f"### {name}\n" in found["topics.md"]
    schema = json.loads((data_dir("topics") / "metrics.schema.json").read_text())
    for field in schema["properties"]:
        assert f"| `{field}` |" in found["metrics-record.md"]


def test_every_metric_of_prometheus_that_a_page_names_is_there():
    own = {
        f"stream_monitor_{name}" for _, name, *_ in (*health._TASK_METRICS, *(("", *t) for t in health._TOTALS))
    }
    known = own | {f"{name}_total" for name in own} | set((ROOT / "tests/exporters/names.txt").read_text().split())
    for page in pages():
        for name in re.findall(r"stream_monitor_[a-z_]+(?![a-z_<.])", page.read_text(encoding="utf-8")):
            assert name in known | NAMES or "<" in name, f"{page.name}: {name}"


def test_every_command_in_the_documents_is_there():
    named = set()
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        named |= set(
            re.findall(r"(?:^|`|\$ )stream-monitor ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        )
    assert named >= {"worker", "report", "replay", "simulate", "topics", "dlq", "demo", "tui"}
    assert named <= set(cli.commands)


def test_every_make_target_in_the_readme_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z][a-z-]+)", (ROOT / "README.md").read_text())) <= targets


def test_links_between_pages_lead_somewhere():
    for page in (*pages(), *(ROOT / "docs" / "templates").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_links_elsewhere_are_addresses():
    for page in pages():
        for link in re.findall(r"\]\(([a-z]+:[^)]*)\)", page.read_text(encoding="utf-8")):
            address = urlsplit(link)
            assert address.scheme == "https", f"{page.name}: {link}"
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", address.netloc), f"{page.name}: {link}"


def test_the_lock_names_no_index():
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "--index-url" not in text
        assert "https://" not in text
        assert "--hash=sha256:" in text
    assert not subprocess.run(["git", "ls-files", "uv.lock"], cwd=ROOT, capture_output=True, check=True).stdout
