"""A log as bytes in a spool's file: `magic, length, checksum, number, time in ms, lengths, topic, key, value`.

The magic holds bytes that no UTF-8 text has, so that behind a damaged place the next frame is found.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zlib import crc32

_MAGIC = b"\xff\xfeSM"
_HEAD = struct.Struct("<4sII")
"""(magic, length of the rest, CRC-32 of the rest)."""
_META = struct.Struct("<QqHH")
"""(number, UTC ms, bytes of the topic, bytes of the key)."""
_MAX_BYTES = 16_000_000
"""A length above is damage. What is written is far below (`formatter.MAX_BYTES`)."""


class Item(NamedTuple):
    """A log on its way: UTC ms, the topic's name, key and value."""

    time_ms: int
    topic: str
    key: str
    value: bytes


class Frame(NamedTuple):
    """A log that was read: its number, where the next frame begins, and whether damage stands before it."""

    number: int
    item: Item
    end: int
    is_behind_damage: bool


def packed(number: int, item: Item) -> bytes:
    """The frame of a log."""
    topic, key = item.topic.encode(), item.key.encode()
    body = b"".join((_META.pack(number, item.time_ms, len(topic), len(key)), topic, key, item.value))
    return _HEAD.pack(_MAGIC, len(body), crc32(body)) + body


def frames(path: Path, place: int) -> Iterator[Frame]:
    """From a place on; what is damaged is left out."""
    with path.open("rb") as file:
        file.seek(place)
        is_behind_damage = False
        while True:
            body = _body(file)
            if body is None:
                found = _next(file, place + 1)
                if found < 0:
                    return
                place, is_behind_damage = found, True
                file.seek(place)
                continue
            place += _HEAD.size + len(body)
            number, item = _parsed(body)
            yield Frame(number, item, place, is_behind_damage)
            is_behind_damage = False


def _body(file: BinaryIO) -> bytes | None:
    """Of the frame that begins here; None at the end, and where there is none."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    magic, length, checksum = _HEAD.unpack(head)
    if magic != _MAGIC or not _META.size <= length <= _MAX_BYTES:
        return None
    body = file.read(length)
    return body if len(body) == length and crc32(body) == checksum else None


def _next(file: BinaryIO, start: int) -> int:
    """Where the next frame may begin, or -1."""
    file.seek(start)
    found = file.read().find(_MAGIC)
    return start + found if found >= 0 else -1


def _parsed(body: bytes) -> tuple[int, Item]:
    number, time_ms, topic, key = _META.unpack_from(body)
    begin = _META.size
    middle, value = begin + topic, begin + topic + key
    return number, Item(time_ms, body[begin:middle].decode(), body[middle:value].decode(), body[value:])
