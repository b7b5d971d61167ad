"""Which colour means what, for dark and light, in a terminal and in a browser.

Kinds and series are told apart by the colour-blind, too: their lightness differs as well as their hue, and
wherever a colour says something a word, a mark or a place says it beside it.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True)
class Colours:
    """`#rrggbb`, by meaning."""

    primary: str
    secondary: str
    accent: str
    warning: str
    error: str
    success: str
    foreground: str
    dim: str
    faint: str
    background: str
    surface: str
    panel: str
    kinds: dict[str, str]
    series: tuple[str, ...]
    bands: tuple[str, str, str]
    """p50, p95, p99."""

    def kind(self, name: str) -> str:
        """A kind's colour."""
        return self.kinds.get(name, self.foreground)


DARK = Colours(
    primary="#6cb6ff",
    secondary="#8ddb8c",
    accent="#f0b45a",
    warning="#e9b84a",
    error="#ff7b72",
    success="#6bc46d",
    foreground="#d6dee6",
    dim="#8b98a5",
    faint="#3a4652",
    background="#14171a",
    surface="#1a1d21",
    panel="#262a30",
    kinds={"airflow": "#4fc3d9", "kafka": "#f0a35a", "ml": "#c59cf7"},
    series=("#6cb6ff", "#f0a35a", "#8ddb8c", "#e78fc8", "#d9c75a", "#4fd0c7"),
    bands=("#4c93e6", "#2f5d91", "#243d5c"),
)
LIGHT = Colours(
    primary="#0b62c4",
    secondary="#1a7f37",
    accent="#a85b00",
    warning="#9a6700",
    error="#c62a2f",
    success="#1a7f37",
    foreground="#1f2730",
    dim="#5c6773",
    faint="#c3cad2",
    background="#f7f8fa",
    surface="#ffffff",
    panel="#e6eaef",
    kinds={"airflow": "#0b7285", "kafka": "#b04a00", "ml": "#7a3fc0"},
    series=("#0b62c4", "#b04a00", "#1a7f37", "#a3267a", "#7a6400", "#00706a"),
    bands=("#3d7fd6", "#8fb8ea", "#cfe0f5"),
)


_CONTRASTS = (5.6, 3.2, 9.5, 4.2, 7.2)
"""To the ground, shade by shade: each can be told from it (WCAG asks for 3), and from the others."""
_TURNS = (0.0, 0.06, -0.06)
"""Of the hue: less than half the way to another kind's."""


def shades(colour: str, ground: str, count: int) -> list[str]:
    """So many `#rrggbb` of a colour's family that differ in lightness: up to 5 clearly, more in hue only."""
    return list(islice(_shades(colour, ground), count))


def _shades(colour: str, ground: str) -> Iterator[str]:
    hue, _, saturation = colorsys.rgb_to_hls(*_parts(colour))
    n = 0
    while True:
        turn = _TURNS[(n + n // len(_CONTRASTS)) % len(_TURNS)]
        yield _with_contrast((hue + turn) % 1.0, saturation, ground, _CONTRASTS[n % len(_CONTRASTS)])
        n += 1


def _with_contrast(hue: float, saturation: float, ground: str, wanted: float) -> str:
    """Of this hue the lightness that has the contrast to the ground, or nearly."""
    low, high = 0.0, 1.0
    is_dark = _luminance(_parts(ground)) < 0.2
    for _ in range(20):
        middle = (low + high) / 2
        found = colorsys.hls_to_rgb(hue, middle, saturation)
        if (contrast(_hex(found), ground) < wanted) == is_dark:
            low = middle
        else:
            high = middle
    return _hex(colorsys.hls_to_rgb(hue, (low + high) / 2, saturation))


def contrast(one: str, other: str) -> float:
    """WCAG's: 1 for equal ones, 21 for black on white."""
    low, high = sorted((_luminance(_parts(one)), _luminance(_parts(other))))
    return (high + 0.05) / (low + 0.05)


def _luminance(parts: tuple[float, float, float]) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _parts(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    return red, green, blue


def _hex(parts: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)


def colours(*, dark: bool) -> Colours:
    """Those of a theme."""
    return DARK if dark else LIGHT
