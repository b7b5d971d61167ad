"""How many there are, for a person."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """`1 record`, `0 records`, `2 records`: for nouns that take an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
