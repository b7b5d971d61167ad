"""Text for a terminal cell: what a log brings, made harmless and cut to a width; numbers and times, short."""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len, set_cell_size

_MOST = 4_000
"""Characters that are looked at of any text; no cell is wider."""
_MARKS = 2
"""Combining marks that a character keeps."""


def clean(text: str) -> str:
    """No control, format or bidi characters (each is a �), at most two marks on a character, at most 4,000."""
    shown = []
    marks = 0
    for char in text[:_MOST]:
        if unicodedata.combining(char):
            marks += 1
            if marks > _MARKS:
                continue
        else:
            marks = 0
        if unicodedata.category(char) in ("Mn", "Me") and not unicodedata.combining(char):
            continue  # a variation selector: terminals do not agree on its width
        shown.append(char if char.isprintable() else "�")
    return "".join(shown)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Exactly `width` cells of a clean text: filled up with spaces, or cut with an ellipsis."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…"
    return " " * (width - length) + text if right else text + " " * (width - length)
