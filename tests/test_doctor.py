"""What `doctor` says of a machine and a broker that are well, and of ones that are not."""

from __future__ import annotations

import json
import socket
import time

import pytest

from stream_monitor import cli, clients, doctor, sources
from stream_monitor.doctor import finding, machine, rights
from stream_monitor.doctor.finding import Finding, SilentError, bounded
from stream_monitor.errors import MonitorError, StoppedError
from stream_monitor.settings import Settings
from tests import secure
from tests.workers import WorkerProcess, wait_for


def never():
    return False


def examine(settings, *roles):
    """By check: [(state, says)]."""
    found = {}
    for each in doctor.examine(settings, roles, never):
        found.setdefault(each.check, []).append((each.state, each.says))
    return found


class TestMachine:
    def test_a_secret_in_a_file_that_others_may_read(self, tmp_path):
        path = tmp_path / sources.FILE_NAME
        path.write_text('sasl_password = "hunter2"')
        path.chmod(0o644)
        [_, warning] = machine.settings(Settings.load(config=path))
        assert warning.state == "warn"
        assert f"chmod 600 {path}" in warning.do
        assert "hunter2" not in str(warning)
        path.chmod(0o600)
        assert [each.state for each in machine.settings(Settings.load(config=path))] == ["ok"]

    def test_who_it_is_but_not_how_it_proves_it(self):
        settings = Settings(security_protocol="SASL_SSL", sasl_username="me", sasl_password="hunter2")
        [line] = machine.settings(settings)
        assert "SASL_SSL SCRAM-SHA-512 as me" in line.says
        assert "hunter2" not in str(line)

    def test_a_variable_that_is_no_setting(self, monkeypatch):
        monkeypatch.setenv("STREAM_MONITOR_BROKR", "x")
        [_, warning] = machine.settings(Settings())
        assert "did you mean STREAM_MONITOR_BROKER?" in warning.says

    def test_a_datadir_that_is_no_folder_or_full_or_fine(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        [line] = machine.datadir(Settings(datadir=tmp_path / "file"))
        assert line.state == "fail"
        [line] = machine.datadir(Settings(datadir=tmp_path / "new" / "er"))
        assert (line.state, "not there yet" in line.says) == ("ok", True)
        monkeypatch.setattr(machine, "_LOW_BYTES", 1 << 60)
        assert next(machine.datadir(Settings(datadir=tmp_path))).state == "warn"
        monkeypatch.setattr(machine, "_FULL_BYTES", 1 << 60)
        assert next(machine.datadir(Settings(datadir=tmp_path))).state == "fail"

    def test_a_package_that_is_missing(self, monkeypatch):
        monkeypatch.setattr(machine, "_PACKAGES", ("numpy", "no-such-package"))
        assert [each.state for each in machine.versions(Settings())] == ["fail", "ok"]


class TestDeadline:
    def test_a_check_that_never_ends_is_left(self):
        started = time.monotonic()
        with pytest.raises(SilentError, match=r"no answer within 0\.2 s"):
            bounded("x", lambda: time.sleep(60), 0.2, never)
        assert time.monotonic() - started < 30

    def test_a_signal_ends_it(self):
        with pytest.raises(StoppedError):
            bounded("x", lambda: time.sleep(60), 30, lambda: True)

    def test_what_was_found_before_a_failure_is_told(self):
        def look():
            yield Finding("ok", "x", "first")
            raise MonitorError("second")

        assert [each.says for each in bounded("x", look, 30, never)] == ["first", "second"]

    def test_a_broker_that_takes_the_connection_and_says_nothing(self, capsys):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            settings = Settings(broker=address, connect_timeout=0.5)
            assert doctor.run(settings, roles=(), output="text", stopped=never) == 1
        *_, says, does = capsys.readouterr().out.splitlines()
        assert says.startswith("fail  broker")
        assert f"no Kafka broker answers at {address}" in says
        assert "→ start it, or say where it is with --broker" in does

    def test_a_broker_that_stops_answering_is_asked_nothing_more(self, monkeypatch, capsys):
        monkeypatch.setattr(doctor.clients, "ensure_broker", lambda *_: None)
        monkeypatch.setattr(doctor, "_CHECK_S", 0.3)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            found = examine(Settings(broker=f"127.0.0.1:{silent.getsockname()[1]}"))
        assert [*found] == ["settings", "versions", "datadir", "broker"]
        assert "no answer within 0.3 s" in found["broker"][0][1]


class TestEmbedded:
    def test_before_and_after_the_topics_are_made(self, embedded, make_settings, capsys, tmp_path):
        settings = make_settings(embedded, apply=False)
        found = examine(settings)
        assert found["topics"] == [
            (
                "fail",
                f"15 of 15 of {settings.prefix}.* are missing, or not for this user to see: alerts and 14 more",
            )
        ]
        assert found["rights"] == [("warn", "not looked at, as are clock, workers and dlq: there is no topic yet")]
        flags = ("--broker", embedded, "--prefix", settings.prefix, "--datadir", str(tmp_path))
        assert cli.run(["topics", "apply", *flags[:4]]) == 0
        capsys.readouterr()
        assert cli.run(["doctor", *flags, "--output", "json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["ok"] is True
        states = {each["check"]: each["state"] for each in said["findings"]}
        assert states == {
            "settings": "ok", "versions": "ok", "datadir": "ok", "broker": "warn", "topics": "ok", "rights": "ok",
            "clock": "ok", "workers": "warn", "dlq": "ok",
        }  # fmt: skip
        assert not [name for name in clients.admin(settings).list_topics(timeout=30).topics if "doctor" in name]

    def test_a_worker_its_lag_its_lock_and_what_it_rejects(self, embedded, make_settings):
        settings = make_settings(embedded)
        producer = clients.producer(settings)
        for _ in range(3):
            producer.produce(settings.topic("logs.ml"), b"no json")
        assert producer.flush(30) == 0
        assert "3 logs are not folded" in examine(settings)["workers"][0][1]
        with WorkerProcess(settings) as worker:
            wait_for(lambda: "all logs are folded" in examine(settings)["workers"][0][1], 90, worker)
            found = examine(settings)
            assert found["workers"][0] == ("ok", f"1 worker in the group {settings.group_id}; all logs are folded")
            assert found["dlq"] == [("warn", "3 records were rejected in the last hour")]
            assert "in use by a worker" in found["datadir"][0][1]
        assert "no worker uses it now" in examine(settings)["datadir"][0][1]

    def test_topics_that_are_not_as_declared(self, embedded, make_settings):
        settings = make_settings(embedded)
        other = Settings(broker=settings.broker, prefix=settings.prefix, result_partitions=3, source_partitions=9)
        states = [state for state, _ in examine(other)["topics"]]
        assert {*states} == {"fail", "warn"}


@pytest.mark.slow
def test_on_apache_kafka(kafka, make_settings):
    settings = make_settings(kafka)
    found = examine(settings, *rights.ROLES)
    assert {state for lines in found.values() for state, _ in lines} == {"ok", "warn"}
    assert [state for state, _ in found["rights"]] == ["ok"] * len(rights.ROLES)
    assert found["clock"][0][0] == "ok"
    assert found["workers"][0] == ("warn", f"no workers in the group {settings.group_id}; all logs are folded")
    assert not [name for name in clients.admin(settings).list_topics(timeout=30).topics if "doctor" in name]


def test_the_roles_are_those_of_the_page():
    of_page = {}
    ours = [acl for acl in secure.acls() if acl.name.startswith("pipeline.")]
    assert {acl.principal for acl in secure.acls() if acl not in ours} == {"User:reporter"}
    for acl in ours:
        start = acl.name.removeprefix("pipeline.")
        of_page.setdefault(acl.principal.removeprefix("User:"), set()).add((start, acl.operation))
    of_code = {
        name: {(start, operation) for start, each in role.topics.items() for operation in each}
        | ({(role.group, rights.AclOperation.READ)} if role.group else set())
        for name, role in rights.ROLES.items()
    }
    assert of_page == of_code
    assert {*cli.ROLES} == {*rights.ROLES}


def test_a_text_line_says_what_to_do_below():
    assert str(Finding("warn", "x", "says", "do")) == "warn  x          says\n                 → do"
    assert json.loads(finding.as_json([Finding("fail", "x", "y")]))["ok"] is False
