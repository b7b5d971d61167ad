"""schemathesis over the OpenAPI document: whatever it asks, no 5xx, and answers are as the document says.

One check is left out: that whatever fits the parameters' types is taken. A range has rules that types don't say.
"""

from __future__ import annotations

import hypothesis
import pytest
import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.web.serving import served, wait


@pytest.fixture(scope="session")
def api():
    with served() as (address, _):
        wait(f"{address}/readyz")
        yield schemathesis.openapi.from_url(f"{address}/api/v1/openapi.json")


# the stream has no end: test_stream.py reads it
schema = schemathesis.pytest.from_fixture("api").exclude(path="/api/v1/stream")


@schema.parametrize()
@hypothesis.settings(
    max_examples=25, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), derandomize=True
)
def test_whatever_is_asked(case):
    case.call_and_validate(excluded_checks=[positive_data_acceptance])
