"""What a user can cause. The command line prints one line for each and exits; nothing else does."""

from __future__ import annotations


class MonitorError(Exception):
    """It ran and found a problem: exit code 1. The message says what, where and what to do."""

    exit_code = 1


class UsageError(MonitorError):
    """Wrong use (a flag, a setting, a file's content): exit code 2."""

    exit_code = 2


class BrokerUnavailableError(MonitorError):
    """No Kafka broker answers at the address."""


class StoppedError(MonitorError):
    """A signal came before there was an answer: exit code 130."""

    exit_code = 130


class TopicMissingError(MonitorError):
    """A topic that is needed is not there, or is not as declared."""
