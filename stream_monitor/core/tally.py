"""Counts by name, bounded, and still exact under merging in any order.

Of more than MAX_NAMES names the MAX_NAMES with the smallest CRC-32 are kept and the rest are one OTHER.
A name among the smallest of the whole is among the smallest of every part, so it was never dropped
anywhere, and its count is exact: a bottom-k sample of the names. Keeping the most frequent ones
instead would depend on the order of arrival.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from zlib import crc32

from stream_monitor.core.record import OTHER

MAX_NAMES = 50


def count(tally: dict[str, int], name: str, times: int = 1) -> None:
    """Add `times` to a name's count and keep the bound."""
    if name in tally or len(tally) < MAX_NAMES:
        tally[name] = tally.get(name, 0) + times
    else:
        merge(tally, {name: times})


def merge(tally: dict[str, int], other: Mapping[str, int]) -> None:
    """Add another tally's counts to this one and keep the bound."""
    for name, times in other.items():
        tally[name] = tally.get(name, 0) + times
    names = dropped(tally, MAX_NAMES)
    if names:
        tally[OTHER] = sum(tally.pop(name) for name in names) + tally.get(OTHER, 0)


def dropped(names: Collection[str], bound: int) -> list[str]:
    """The names beyond the `bound` with the smallest CRC-32; OTHER is none of them and does not count."""
    if len(names) <= bound:
        return []
    named = sorted(
        (name for name in names if name != OTHER),
        key=lambda name: (crc32(name.encode("utf-8", "surrogatepass")), name),
    )
    return named[bound:]
