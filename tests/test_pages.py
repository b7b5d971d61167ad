"""Every command and snippet of README.md and docs/ is run; tests/pages.py says how. What is left out is named."""

from __future__ import annotations

import configparser
import json
import os
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

from stream_monitor import rules
from stream_monitor.broker import EmbeddedBroker, free_port
from stream_monitor.settings import Settings
from tests.pages import LANGUAGES, ROOT, Run, blocks, pages

NOT_RUN_AT_MOST = 12
ALL = [block for page in pages() for block in blocks(page)]
RUNNABLE = ("console", "python", "diff")
OWN_TEST = ("add-a-kind.md", "consume-metrics.md")
"""Pages that need more than a broker and a folder: tests/test_add_a_kind.py, tests/test_consume_metrics.py."""


def named(block):
    return block.where


def test_every_block_says_what_it_is():
    strange = [f"{block.where}: {block.language or 'nothing'}" for block in ALL if block.language not in LANGUAGES]
    assert not strange, f"each fence says one of {', '.join(LANGUAGES)}"


def test_what_is_not_run_has_a_reason_and_stays_rare(record_property):
    left_out = [f"{block.where}: {block.not_run}" for block in ALL if block.not_run is not None]
    record_property("not run", left_out)
    print("\n".join(left_out))
    assert len(left_out) <= NOT_RUN_AT_MOST, "\n".join(left_out)
    assert all(len(block.not_run.split()) >= 3 for block in ALL if block.not_run is not None)


@pytest.mark.parametrize("block", [b for b in ALL if b.language in ("json", "yaml", "toml", "ini")], ids=named)
def test_data_is_what_it_says(block):
    if block.language == "json":
        for text in (
            [block.text] if block.title is None or block.title.endswith(".json") else block.text.split("\n")
        ):
            if text.strip():
                value = json.loads(text)
                if isinstance(value, dict) and {"v", "window", "revision"} <= value.keys():
                    schema = json.loads((ROOT / "topics" / "metrics.schema.json").read_text())
                    jsonschema.Draft202012Validator(schema).validate(value)
    elif block.language == "yaml":
        value = yaml.safe_load(block.text)
        assert value is not None
    elif block.language == "toml":
        values = tomllib.loads(block.text)
        assert values
        assert {name.removesuffix("_file") for name in values} <= Settings.model_fields.keys()
    else:
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.read_string(block.text)
        assert parser.sections()


def test_what_is_no_command_of_ours_is_read_by_a_test():
    for block in ALL:
        if block.language == "sh":
            assert block.page.name == "connect-securely.md", block.where  # tests/secure.py: acls
            for command in block.text.replace("\\\n", " ").splitlines():
                assert command.startswith("kafka-acls.sh "), block.where


@pytest.mark.parametrize(
    "block", [b for b in ALL if b.language == "yaml" and "rules:" in b.text.splitlines()], ids=named
)
def test_rules_are_right(block, tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(block.text)
    found = rules.check(path)
    assert not isinstance(found, list), [str(problem) for problem in found]


@pytest.fixture
def checkout(tmp_path):
    """A folder that looks like the checkout and may be written to."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.name not in (".git", "data", "logs"):
            (folder / path.name).symlink_to(path)
    return folder


PAGES = [
    page
    for page in pages()
    if page.name not in OWN_TEST and any(b.language in RUNNABLE and b.not_run is None for b in blocks(page))
]


@pytest.mark.manual
@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_does_what_it_says(page, checkout, tmp_path):
    with EmbeddedBroker() as broker:
        http = free_port()
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "STREAM_MONITOR_BROKER": broker.address,
            "STREAM_MONITOR_DATADIR": str(tmp_path / "tables"),
            "STREAM_MONITOR_HTTP_PORT": str(http),
            "STREAM_MONITOR_IDLE_AFTER": "1",
            "COLUMNS": "100",
        }
        names = {
            "127.0.0.1:9092": broker.address,
            "kafka-1:9092": broker.address,
            ":6066": f":{http}",
            "/var/": f"{tmp_path}/var/",
        }
        with Run(checkout, environment, names) as run:
            for block in blocks(page):
                run.block(block)
