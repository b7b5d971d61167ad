"""docker-compose.yml and what it mounts: what is right without Docker, and Docker's own word where it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from stream_monitor.cli import cli
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.testing import brokers

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "stream-monitor"}
KEYS = [
    "image",
    "build",
    "pull_policy",
    "command",
    "init",
    "read_only",
    "tmpfs",
    "cap_drop",
    "security_opt",
    "environment",
    "scale",
    "stop_grace_period",
    "ports",
    "volumes",
    "mem_limit",
    "cpus",
    "depends_on",
    "healthcheck",
    "restart",
    "profiles",
    "user",
]


@pytest.mark.parametrize("name", SERVICES)
class TestEveryService:
    def test_it_says_only_what_compose_knows(self, name):
        assert SERVICES[name].keys() <= set(KEYS)
        for needed, how in SERVICES[name].get("depends_on", {}).items():
            assert needed in SERVICES
            assert how["condition"] in ("service_healthy", "service_completed_successfully", "service_started")
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[needed]

    def test_it_is_bounded_and_has_no_rights(self, name):
        service = SERVICES[name]
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
        assert 0 < service["cpus"] <= 2
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert name == "kafka" or service["read_only"]  # Apache's image writes its configuration beside its code

    def test_its_image_is_pinned_or_ours(self, name):
        assert name in OURS or re.search(r":v?\d+\.\d+\.\d+$", SERVICES[name]["image"])

    def test_its_ports_are_this_machines_alone_and_named_in_the_file_or_the_readme(self, name):
        text = (ROOT / "README.md").read_text() + (ROOT / "docker-compose.yml").read_text().split("services:")[0]
        for port in SERVICES[name].get("ports", ()):
            assert port.startswith("127.0.0.1:")
            assert port.rpartition(":")[2] in text

    def test_what_it_mounts_is_there(self, name):
        for volume in SERVICES[name].get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists()
            elif ":" in volume:
                assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", OURS)
def test_our_commands_and_settings_are_there(name):
    assert OURS[name]["command"][0] in cli.commands
    for variable in OURS[name]["environment"]:
        assert variable.removeprefix("STREAM_MONITOR_").lower() in Settings.model_fields


def test_kafka_is_the_one_that_is_tested():
    assert SERVICES["kafka"]["image"] == brokers.IMAGE
    assert "KAFKA_PROCESS_ROLES" in SERVICES["kafka"]["environment"]


def test_the_image_is_built_from_the_lock_and_runs_as_nobody():
    text = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes -r requirements/notify.txt" in text
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)
    for source in re.findall(r"^COPY (\S+)", text, re.MULTILINE):
        assert (ROOT / source).exists()


def test_the_dashboards_queries_name_metrics_that_are_exported():
    board = json.loads((ROOT / "deploy/grafana/dashboards/stream-monitor.json").read_text())
    exported = set((ROOT / "tests/exporters/names.txt").read_text().split())
    for panel in board["panels"]:
        for target in panel["targets"]:
            named = set(re.findall(r"stream_monitor_\w+", target["expr"]))
            assert named
            assert named <= exported, named - exported


def test_prometheus_rules_name_metrics_and_labels_that_are_exported():
    """What they say is tested by promtool: tests/prometheus.py."""
    exported = set((ROOT / "tests/exporters/names.txt").read_text().split())
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    mounted = {volume.split(":")[1] for volume in SERVICES["prometheus"]["volumes"]}
    for name in config["rule_files"]:
        assert f"/etc/prometheus/{name}" in mounted
        found = yaml.safe_load((ROOT / "deploy/prometheus" / name).read_text())
        for rule in (rule for group in found["groups"] for rule in group["rules"]):
            for metric in re.findall(r"stream_monitor_\w+", rule["expr"]):
                assert metric in exported
                labels = KINDS[metric.split("_")[2]].labels
                assert set(re.findall(r"by \((\w+)\)", rule["expr"])) <= set(labels)
    (targets,) = config["alerting"]["alertmanagers"][0]["static_configs"]
    assert targets["targets"] == ["alertmanager:9093"]


def _has_compose():
    docker = shutil.which("docker")
    return (
        bool(docker)
        and not subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode
    )


@pytest.mark.skipif(not _has_compose(), reason="needs Docker Compose")
def test_docker_compose_takes_it():
    subprocess.run(["docker", "compose", "--profile", "observe", "config", "-q"], cwd=ROOT, check=True)
