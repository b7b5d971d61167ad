"""Every file in logging/: loaded by the standard library, rotated, errors apart, its records decoded."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from stream_monitor.errors import UsageError
from stream_monitor.kinds import KINDS
from stream_monitor.shipping import configure
from stream_monitor.shipping.configuration import CONFIGURATIONS, configuration

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = {
    "airflow": {"airflow/airflow.log", "airflow/airflow_metrics.log", "airflow/airflow_errors.log"},
    "kafka": {"kafka/consumer.log", "kafka/consumer_stats.log", "kafka/consumer_errors.log"},
    "ml": {"ml/predictions.log", "ml/metrics.log", "ml/errors.log"},
    "pipeline": {f"pipeline/{name}.log" for name in ("pipeline", "metrics", "errors", "audit")},
}
METRICS = {"airflow": "airflow.metrics", "kafka": "kafka.consumer.stats", "ml": "ml.metrics"}
LOGS = {
    "airflow": {"dag_id": "d", "task_id": "t", "duration": 2.5, "state": "success"},
    "kafka": {"consumer_group": "g", "topic": "t", "partition": 0, "consumer_lag": 5},
    "ml": {"service": "s", "model_version": "v", "latency_ms": 4.5, "prediction": "a", "confidence": 0.9},
}


@pytest.fixture(autouse=True)
def _as_before():
    """Logging is the process's: put back what was."""
    root, level = logging.getLogger().handlers[:], logging.getLogger().level
    dict(logging.root.manager.loggerDict.items())
    yield
    for logger in (logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))):
        for handler in logger.handlers[:]:
            if type(handler).__module__.startswith("stream_monitor"):
                logger.removeHandler(handler)
                handler.close()
    for handler in root:
        if handler not in logging.getLogger().handlers:
            logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(level)
    for name in ("pipeline.audit", *METRICS.values()):
        logging.getLogger(name).propagate = True


def load(name):
    """As the standard library's documentation says; nothing of ours is called."""
    path = ROOT / "logging" / CONFIGURATIONS[name]
    if path.suffix == ".conf":
        logging.config.fileConfig(path, disable_existing_loggers=False)
    elif path.suffix == ".json":
        logging.config.dictConfig(json.loads(path.read_text()))
    else:
        logging.config.dictConfig(yaml.safe_load(path.read_text()))


def lines(path):
    """But for what shipping says of itself: there is no broker."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in found if line["logger"] != "stream_monitor.shipping"]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_loaded_by_the_standard_library(name, tmp_path, monkeypatch):
    monkeypatch.setenv("STREAM_MONITOR_LOG_DIR", str(tmp_path))
    monkeypatch.setenv("STREAM_MONITOR_BROKER", "127.0.0.1:1")
    load(name)
    kinds = [name] if name in LOGS else list(LOGS)
    for kind in kinds:
        logging.getLogger(METRICS[kind]).info("a metric", extra=LOGS[kind])
        logging.getLogger(f"{kind}.part").error("failed, password=hunter2", extra=LOGS[kind])
        logging.getLogger(f"{kind}.part").debug("too much")
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*.log")}  # not the spool, which changes
    assert files == set().union(*(FILES[kind] for kind in kinds), FILES["pipeline"] if name == "unified" else ())
    for kind in kinds:
        main, metrics, errors = (tmp_path / file for file in in_order(FILES[kind]))
        assert [line["message"] for line in lines(main)] == ["a metric", "failed, password=[redacted]"]
        assert [line["message"] for line in lines(metrics)] == ["a metric"]
        assert [line["message"] for line in lines(errors)] == ["failed, password=[redacted]"]
        decoded = KINDS[kind].decode([json.dumps(line).encode() for line in lines(main)], np.array([0, 0]))
        assert not decoded.rejected
    if name == "unified":
        logging.getLogger("pipeline.audit").info("who did what")
        assert [line["message"] for line in lines(tmp_path / "pipeline/audit.log")] == ["who did what"]
        assert len(lines(tmp_path / "pipeline/errors.log")) == 3
        assert "who did what" not in (tmp_path / "pipeline/pipeline.log").read_text()


def in_order(files):
    """Main, metrics, errors."""
    return sorted(files, key=lambda file: ("errors" in file, "metrics" in file or "stats" in file))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_rotation_is_at_10_to_50_megabytes(name, tmp_path):
    configure(name, log_dir=tmp_path, broker="127.0.0.1:1")
    handlers = {
        handler
        for logger in (logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict)))
        for handler in logger.handlers
        if isinstance(handler, logging.handlers.RotatingFileHandler)
    }
    assert len(handlers) >= 3
    for handler in handlers:
        assert 10_000_000 <= handler.maxBytes <= 50_000_000
        assert handler.backupCount >= 5
        before = Path(handler.baseFilename).stat().st_size
        handler.maxBytes = 1000
        for _ in range(20):
            handler.handle(logging.makeLogRecord({"msg": "x" * 100, "levelname": "ERROR", "levelno": 40}))
        assert before < 1000
        assert Path(f"{handler.baseFilename}.1").stat().st_size <= 1000
        assert lines(Path(handler.baseFilename))


def test_one_line_in_an_installed_service(tmp_path):
    """Folders are made, loggers that exist go on, a worker's own packages are not needed."""
    code = (
        "import logging; log = logging.getLogger('mine')\n"
        "from stream_monitor.shipping import configure\n"
        f"configure('ml', log_dir={str(tmp_path / 'new' / 'logs')!r}, broker='127.0.0.1:1', level='WARNING')\n"
        "log.info('no'); log.warning('yes')\n"
    )
    environment = {**os.environ, "STREAM_MONITOR_LOG_DIR": "/nowhere"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)
    assert [line["message"] for line in lines(tmp_path / "new/logs/ml/predictions.log")] == ["yes"]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_folder_that_cannot_be_written_is_one_clear_line(name, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write .*file.*: .*; choose another folder with log_dir="):
        configure(name, log_dir=tmp_path / "file")


def test_wrong_names_and_addresses(tmp_path):
    with pytest.raises(
        UsageError, match="no logging configuration 'nosuch'; there are: airflow, kafka, ml, unified"
    ):
        configure("nosuch")
    for name in CONFIGURATIONS:
        with pytest.raises(UsageError, match="broker address 'nonsense'"):
            configure(name, log_dir=tmp_path, broker="nonsense")


def test_a_setting_that_there_is_not_is_named(tmp_path):
    with pytest.raises(UsageError, match="no setting 'brokers' of a connection; there are: broker, prefix"):
        configure("ml", log_dir=tmp_path, brokers="127.0.0.1:1")
    configure("ml", log_dir=tmp_path, broker="127.0.0.1:1", request_timeout=5)


def test_a_folder_that_was_removed_comes_back(tmp_path):
    configure("ml", log_dir=tmp_path, broker="127.0.0.1:1")
    log = logging.getLogger("ml.part")
    log.info("one")
    while (tmp_path / "ml").exists():  # the sender's thread may log meanwhile, into a file that comes back
        shutil.rmtree(tmp_path / "ml", ignore_errors=True)
    log.info("two")
    log.info("three")
    assert [line["message"] for line in lines(tmp_path / "ml/predictions.log")] == ["two", "three"]


def test_they_ship_in_the_wheel():
    force = re.search(r"force-include\]\n(.*?)\n\n", (ROOT / "pyproject.toml").read_text(), re.DOTALL)[1]
    assert '"logging" = "stream_monitor/_data/logging"' in force
    assert {configuration(name).parent for name in CONFIGURATIONS} == {ROOT / "logging"}
