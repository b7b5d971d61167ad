"""What is in a topic, with keys and headers."""

from __future__ import annotations

from collections import defaultdict

import orjson

from tests import workers


def messages(settings, name="logs.ml"):
    """All messages of a topic of logs."""
    return workers.messages(settings, name)


def header(message, name):
    return dict(message.headers())[name].decode()


def numbers(found):
    """By model version: the numbers logged, in order. A repeat (by ce_id) says the same and counts once."""
    by_key, by_id = defaultdict(list), {}
    for message in found:
        ce_id = header(message, "ce_id")
        if ce_id in by_id:
            assert by_id[ce_id] == message.value()
            continue
        by_id[ce_id] = message.value()
        by_key[message.key().decode().partition("/")[2]].append(orjson.loads(message.value())["number"])
    return dict(by_key)
