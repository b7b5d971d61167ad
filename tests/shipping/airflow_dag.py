"""The DAG of `make test-airflow`: three tasks, one of which fails at its first try."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from airflow.sdk import dag, get_current_context, task  # type: ignore[import-not-found]


@dag(dag_id="monitored", schedule=None, catchup=False)
def monitored():
    @task
    def extract() -> int:
        time.sleep(0.5)
        return 1500

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def transform(rows: int) -> dict[str, int]:
        if get_current_context()["ti"].try_number == 1:
            raise KeyError("the first try fails")
        time.sleep(0.3)
        return {"records_processed": rows - 1}

    @task
    def load(result: dict[str, int]) -> None:
        logging.getLogger("airflow.task").info("loaded - records_processed=%d", result["records_processed"])

    load(transform(extract()))


monitored()
