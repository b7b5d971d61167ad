"""The documents against the code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from stream_monitor.cli import cli
from stream_monitor.reference import (
    ALERTS_PAGE,
    PAGE,
    RULES_SCHEMA,
    alerts_page,
    rules_schema,
    settings_page,
)

ROOT = Path(__file__).resolve().parent.parent


def test_the_settings_page_is_that_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == settings_page()


def test_the_alerts_page_and_the_rules_schema_are_those_of_the_code():
    page = ALERTS_PAGE.read_text(encoding="utf-8")
    assert page == alerts_page(page)
    assert RULES_SCHEMA.read_text(encoding="utf-8") == rules_schema()


def test_every_command_in_the_documents_is_there():
    named = set()
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        named |= set(re.findall(r"(?:^|`)stream-monitor ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named >= {"worker", "report", "replay", "simulate", "topics", "dlq", "demo", "tui"}
    assert named <= set(cli.commands)


def test_every_make_target_in_the_readme_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z][a-z-]+)", (ROOT / "README.md").read_text())) <= targets


def test_links_between_pages_lead_somewhere():
    for page in (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_lock_names_no_index():
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "--index-url" not in text
        assert "https://" not in text
        assert "--hash=sha256:" in text
    assert not subprocess.run(["git", "ls-files", "uv.lock"], cwd=ROOT, capture_output=True, check=True).stdout
