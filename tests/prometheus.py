"""A real Prometheus and a real Alertmanager (Debian's packages) beside a worker: `make test-prometheus`.

Not part of `make test`: it needs `apt-get install prometheus prometheus-alertmanager`.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest

from stream_monitor import clients, replay, report, rules, wire
from stream_monitor.broker import die_with_parent, free_port
from stream_monitor.kinds import KINDS
from stream_monitor.notify import service
from stream_monitor.notify.channel import channels
from tests.expected import FIXTURES
from tests.notify.test_dispatch import NOW, alert
from tests.pages import ROOT, blocks
from tests.test_worker import TOTAL
from tests.workers import WorkerProcess, wait_for, wait_settled


def get(url):
    with urllib.request.urlopen(url, timeout=10) as page:
        return page.read().decode()


@contextmanager
def running(*command, ready):
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent
    )
    try:
        wait_for(lambda: is_up(ready), 30)
        yield
    finally:
        process.terminate()
        process.wait(20)


def is_up(url):
    try:
        return bool(get(url))
    except OSError:
        return False


@contextmanager
def prometheus(folder, target):
    port = free_port()
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n"
        f"  - {{job_name: stream-monitor, static_configs: [{{targets: ['{target}']}}]}}\n"
    )
    address = f"127.0.0.1:{port}"
    with running(
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}", ready=f"http://{address}/-/ready",
    ):  # fmt: skip
        yield f"http://{address}"


def query(server, text):
    answer = json.loads(get(f"{server}/api/v1/query?" + urllib.parse.urlencode({"query": text})))
    assert answer["status"] == "success", answer
    return [(sample["metric"], float(sample["value"][1])) for sample in answer["data"]["result"]]


def value(server, text):
    found = query(server, text)
    return found[0][1] if found else None


def test_a_query_equals_the_report_and_promtool_finds_nothing(embedded, make_settings, tmp_path, capsys):
    settings = make_settings(embedded, http_port=free_port())
    target = f"127.0.0.1:{settings.http_port}"
    with WorkerProcess(settings) as worker:
        replay.replay(settings, FIXTURES, shift_to_now=True)
        wait_settled(settings, 120, worker)
        with prometheus(tmp_path, target) as server:
            everything = "sum(stream_monitor_records_total{outcome='read',topic=~'.*logs.*'})"
            wait_for(lambda: value(server, everything) == TOTAL, 60, worker)
            exported = "+".join(f"sum(stream_monitor_{kind}_records_total)" for kind in ("airflow", "kafka", "ml"))
            last = None
            while last is None or value(server, exported) != last:  # the last minutes have closed
                last = value(server, exported)
                time.sleep(4)
            text = get(f"http://{target}/metrics")
            checked = subprocess.run(
                ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
            )
            assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
            report.run(settings, hours=25, output="json")
            said = json.loads(capsys.readouterr().out)
            compared = 0
            for kind in KINDS.values():
                reported = {tuple(row["labels"].values()): row for row in said["components"][kind.name]["series"]}
                for name, field in (("volume", "volume"), ("failures", "errors"), ("attempts", "of")):
                    for labels, number in query(server, f"stream_monitor_{kind.name}_{name}_total"):
                        row = reported[tuple(labels.get(label, "") for label in kind.labels)]
                        assert number == pytest.approx(row[field] or 0, rel=1e-9), (labels, name)
                        compared += 1
            assert compared > 50


DEPLOYED = ROOT / "deploy" / "prometheus"
RULES_PAGE = ROOT / "docs" / "how-to" / "write-alert-rules.md"


def series(metric, labels, per_minute):
    """A counter for an hour, as promtool's tests write it."""
    return {"series": f"stream_monitor_{metric}_total{{{labels}}}", "values": f"0+{per_minute}x60"}


def fires(rule, labels, summary):
    exp_alerts = [{"exp_labels": {**labels, "severity": "critical"}, "exp_annotations": {"summary": summary}}]
    return {"eval_time": "40m", "alertname": rule, "exp_alerts": exp_alerts}


def test_the_rules_about_several_series_fire_by_what_they_sum_and_only_then(tmp_path):
    """No task of `etl` alone has enough failures, nor has any version, nor any worker."""
    versions = [f'service="s",model_version="v{n}",instance="w{n % 2}"' for n in range(4)]
    fine = 'service="fine",model_version="v1"'
    tasks = [f'dag_id="etl",task_id="t{n}"' for n in range(3)]
    bad = [series("ml_failures", v, 1) for v in versions] + [series("ml_attempts", v, 2) for v in versions]
    bad += [series("ml_failures", fine, 1), series("ml_attempts", fine, 9)]
    bad += [series("airflow_failures", t, "0.1") for t in tasks] + [
        series("airflow_attempts", t, "0.25") for t in tasks
    ]
    groups = [f'consumer_group="g{n}",topic="t"' for n in range(5)]
    bad += [series("kafka_failures", g, 1) for g in groups] + [series("kafka_attempts", g, 4) for g in groups]
    few = [series("ml_failures", versions[0], "0.5"), series("ml_attempts", versions[0], "0.5")]
    tests = [
        {"interval": "1m", "input_series": bad, "alert_rule_test": [
            fires("ServiceFailing", {"service": "s"}, "s: 50% of its predictions failed, over all versions"),
            fires("DagFailing", {"dag_id": "etl"}, "etl: 40% of its tasks' runs failed in 30 minutes"),
            fires("ConsumersFailing", {}, "25% of all consumers' reports are errors: is it the cluster?"),
        ]},
        {"interval": "1m", "input_series": few, "alert_rule_test": [
            {"eval_time": "40m", "alertname": "ServiceFailing", "exp_alerts": []},
        ]},
    ]  # fmt: skip
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps({"rule_files": [str(DEPLOYED / "several.yml")], "tests": tests}))
    for command in (["check", "config", str(DEPLOYED / "prometheus.yml")], ["test", "rules", str(file)]):
        checked = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("block", [b for b in blocks(RULES_PAGE) if b.text.startswith("groups:")], ids=str)
def test_the_rules_in_the_documents_are_right(block, tmp_path):
    file = tmp_path / "rules.yml"
    file.write_text(block.text)
    checked = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    exported = set((ROOT / "tests/exporters/names.txt").read_text().split())
    assert set(re.findall(r"stream_monitor_\w+", block.text)) <= exported


def test_an_alertmanager_receives_groups_and_resolves(embedded, make_settings, tmp_path):
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: r, group_by: [alertname]}\nreceivers: [{name: r}]\n")
    settings = make_settings(embedded, alertmanager_url=address, notify_group_wait=0)
    with running(
        "prometheus-alertmanager", f"--config.file={config}", f"--storage.path={tmp_path / 'am'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", ready=f"{address}/-/ready",
    ):  # fmt: skip
        ago = time.time_ns() // 1_000_000 - NOW - 600_000
        records = [alert(name, since=ago, at=ago + 300_000) for name in "ab"]
        notifier = service.Notifier(settings, rules.load(None), channels(settings))
        publish(settings, *records)
        step_until(notifier, lambda: active(address) == ["a", "b"])
        groups = json.loads(get(f"{address}/api/v2/alerts/groups"))
        assert [(group["labels"], len(group["alerts"])) for group in groups] == [({"alertname": "R"}, 2)]
        publish(settings, alert("a", "resolved", since=ago, at=ago + 400_000))
        step_until(notifier, lambda: active(address) == ["b"])
        notifier.close()


def publish(settings, *records):
    producer = clients.producer(settings)
    for record in records:
        producer.produce(settings.topic("alerts"), wire.alert_out(record), record.key, 0)
    producer.flush(10)


def active(address):
    return sorted(each["labels"]["service"] for each in json.loads(get(f"{address}/api/v2/alerts")))


def step_until(notifier, what):
    deadline = time.monotonic() + 40
    while not what():
        notifier.step()
        assert time.monotonic() < deadline
