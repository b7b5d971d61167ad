"""An Airflow 3 plugin (entry point `airflow.plugins`): DAG runs and task instances as logs; no DAG is changed.

Task instances are told of in the process that runs the task, DAG runs in the scheduler. A task's
`records_processed` is what it returns (a number, or a dict with that key), else what it has logged last. Settings
come from the environment (`STREAM_MONITOR_BROKER`, …). Airflow imports this file; nothing else does.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import Any

from airflow.listeners import hookimpl  # type: ignore[import-not-found]
from airflow.plugins_manager import AirflowPlugin  # type: ignore[import-not-found]

from stream_monitor.shipping.configuration import configure
from stream_monitor.shipping.emitter import Emitter
from stream_monitor.shipping.formatter import type_name
from stream_monitor.shipping.handler import KafkaHandler
from stream_monitor.shipping.place import named_log_dir

_emitter = Emitter("airflow", "airflow.metrics")
_LOGGED = re.compile(r"(?<![\w.])records_processed=(\d+(?:\.\d+)?)(?![\w.])")


class _Watcher(logging.Handler):
    """Remembers what the running task says of its records, in its logs and by what it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: float | None = None
        self.returned: float | None = None

    def handle(self, record: logging.LogRecord) -> bool:
        found = getattr(record, "records_processed", None)
        if not _is_count(found) and isinstance(record.msg, str):
            try:
                match = _LOGGED.search(record.getMessage())
            except Exception:  # noqa: BLE001  (arguments that do not fit: somebody else says so)
                return True
            found = float(match[1]) if match else None
        if _is_count(found):
            self.logged = found
        return True

    def take(self, result: Any) -> None:
        """What the task has returned."""
        value = result.get("records_processed") if isinstance(result, dict) else result
        self.returned = value if _is_count(value) else None

    @property
    def records(self) -> float | None:
        """What counts."""
        return self.returned if self.returned is not None else self.logged


_watcher = _Watcher()


class Listener:
    """Airflow's hooks. They never raise: a monitor that cannot log must not fail a task."""

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        """Started."""
        _watcher.logged = _watcher.returned = None
        if _watcher not in logging.getLogger().handlers:
            logging.getLogger().addHandler(_watcher)
        _watch_result(getattr(task_instance, "task", None))
        _load_configuration()
        _emitter.emit(logging.INFO, "task started", {**_of_task(task_instance), "state": "running"})

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """Succeeded."""
        _ended(task_instance, "success", logging.INFO)

    @hookimpl
    def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:
        """Skipped itself."""
        _ended(task_instance, "skipped", logging.INFO)

    @hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: Any) -> None:
        """Failed, for good or until the next try."""
        state = getattr(task_instance, "state", None)
        named = str(getattr(state, "value", state) or "failed")
        _ended(task_instance, named if named == "up_for_retry" else "failed", logging.ERROR, error)

    @hookimpl
    def on_dag_run_running(self, dag_run: Any, msg: str) -> None:
        """Started."""
        _load_configuration()
        _emitter.emit(logging.INFO, "dag run started", {**_of_dag_run(dag_run), "state": "running"})

    @hookimpl
    def on_dag_run_success(self, dag_run: Any, msg: str) -> None:
        """Succeeded."""
        _run_ended(dag_run, "success", logging.INFO)

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:
        """Failed."""
        _run_ended(dag_run, "failed", logging.ERROR)

    @hookimpl
    def before_stopping(self, component: Any) -> None:
        """A task's process ends without Python's own end: what it logged goes out first."""
        _emitter.flush()


class StreamMonitorPlugin(AirflowPlugin):  # type: ignore[misc]
    """What Airflow loads."""

    name = "stream_monitor"
    listeners = (Listener(),)


def _load_configuration() -> None:
    """Where STREAM_MONITOR_LOG_DIR is set: airflow_logging.conf, beside Airflow's handlers, in every process.
    Airflow sets its logging up anew in each of them, after its local settings and after its plugins.
    """
    root = logging.getLogger()
    if named_log_dir() is None or any(isinstance(handler, KafkaHandler) for handler in root.handlers):
        return
    try:
        configure("airflow", keep=True)
    except Exception as error:  # noqa: BLE001  (a folder that cannot be written fails no task)
        print(f"stream-monitor: {error}", file=sys.stderr)  # noqa: T201


def _ended(task_instance: Any, state: str, level: int, error: Any = None) -> None:
    fields = {**_of_task(task_instance), "state": state}
    duration = _seconds(_started(task_instance), getattr(task_instance, "end_date", None))
    if duration is not None:
        fields["duration"] = duration
    if _watcher.records is not None and state == "success":
        fields["records_processed"] = _watcher.records
    if isinstance(error, BaseException):
        fields |= {"error.type": type_name(type(error)), "error.message": str(error)[:2000]}
    elif error:
        fields["error.message"] = str(error)[:2000]
    _emitter.emit(level, f"task {state}", fields)


def _run_ended(dag_run: Any, state: str, level: int) -> None:
    fields = {**_of_dag_run(dag_run), "state": state}
    duration = _seconds(dag_run.start_date, dag_run.end_date)
    if duration is not None:
        fields["duration"] = duration
    _emitter.emit(level, f"dag run {state}", fields)


def _of_task(task_instance: Any) -> dict[str, Any]:
    """Labels, and how long it has waited since the run could start."""
    server = getattr(task_instance, "_ti_context_from_server", None)
    run = getattr(server, "dag_run", None) or getattr(task_instance, "dag_run", None)
    fields = {
        "dag_id": task_instance.dag_id,
        "task_id": task_instance.task_id,
        "run_id": task_instance.run_id,
        "map_index": getattr(task_instance, "map_index", None),
        "try_number": getattr(task_instance, "try_number", None),
        "max_tries": getattr(task_instance, "max_tries", None),
        "queued_duration": _seconds(getattr(task_instance, "queued_dttm", None), _started(task_instance)),
        "schedule_delay": _seconds(getattr(run, "run_after", None), _started(task_instance)),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _started(task_instance: Any) -> datetime | None:
    """When the try began: what Airflow's database has, to a few milliseconds.

    Airflow's supervisor forks the task's process and then tells the database that it begins; the process itself is
    told a later time, by as much as the API server took to answer. So the fork counts; but of a try that goes on
    after a deferral the server says the first beginning.
    """
    told: datetime | None = getattr(task_instance, "start_date", None)
    server = getattr(task_instance, "_ti_context_from_server", None)
    if server is None or told is None or server.start_date is not None:
        return told
    return min(told, _process.began)


class _Process:
    """When this process began."""

    def __init__(self) -> None:
        self.began = datetime.now(UTC)

    def begin(self) -> None:
        """It was forked just now."""
        self.began = datetime.now(UTC)


_process = _Process()
os.register_at_fork(after_in_child=_process.begin)


def _of_dag_run(dag_run: Any) -> dict[str, Any]:
    fields = {
        "dag_id": dag_run.dag_id,
        "run_id": dag_run.run_id,
        "run_type": str(getattr(dag_run.run_type, "value", dag_run.run_type)),
        "queued_duration": _seconds(getattr(dag_run, "queued_at", None), dag_run.start_date),
        "schedule_delay": _seconds(getattr(dag_run, "run_after", None), dag_run.start_date),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    """From one to the other, never below 0: clocks of two machines may differ."""
    return None if begin is None or end is None else max(0.0, round((end - begin).total_seconds(), 6))


def _watch_result(task: Any) -> None:
    """Hear what the task returns, by Airflow's own hook for that; a hook of the DAG's is called as before."""
    if task is None or not hasattr(task, "_post_execute_hook"):
        return
    before = task._post_execute_hook

    def hook(context: Any, result: Any = None) -> None:
        _watcher.take(result)
        if before is not None:
            before(context, result)

    try:
        task._post_execute_hook = hook
    except Exception as error:  # noqa: BLE001  (an operator that cannot be written to)
        print(f"stream-monitor: cannot hear what {task} returns: {error}", file=sys.stderr)  # noqa: T201


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
