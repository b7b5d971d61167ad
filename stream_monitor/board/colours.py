"""Which colour means what, for dark and light, in a terminal and in a browser.

Kinds and series are told apart by the colour-blind, too: their lightness differs as well as their hue, and
wherever a colour says something a word, a mark or a place says it beside it.
"""

from __future__ import annotations

from dataclasses import dataclass


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


def colours(*, dark: bool) -> Colours:
    """Those of a theme."""
    return DARK if dark else LIGHT
