"""What the tests of shipping share."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture
def logger():
    """A logger of the tests' own, and the handlers that it was given are closed."""
    logger = logging.getLogger("tests.shipping")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
