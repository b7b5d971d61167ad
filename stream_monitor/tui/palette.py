"""The colours that mean something, for dark and light. Each has a word, a mark or a place beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.style import Style
from textual.theme import Theme

DARK = Theme(
    name="monitor-dark",
    primary="#6cb6ff",
    secondary="#8ddb8c",
    accent="#f0b45a",
    warning="#e9b84a",
    error="#ff7b72",
    success="#6bc46d",
    foreground="#d6dee6",
    background="#14171a",
    surface="#1a1d21",
    panel="#262a30",
    dark=True,
)
LIGHT = Theme(
    name="monitor-light",
    primary="#0b62c4",
    secondary="#1a7f37",
    accent="#a85b00",
    warning="#9a6700",
    error="#c62a2f",
    success="#1a7f37",
    foreground="#1f2730",
    background="#f7f8fa",
    surface="#ffffff",
    panel="#e6eaef",
    dark=False,
)

_KINDS = {
    True: {"airflow": "#4fc3d9", "kafka": "#f0a35a", "ml": "#c59cf7"},
    False: {"airflow": "#0b7285", "kafka": "#b04a00", "ml": "#7a3fc0"},
}
_SERIES = {
    True: ("#6cb6ff", "#f0a35a", "#8ddb8c", "#e78fc8", "#d9c75a", "#4fd0c7"),
    False: ("#0b62c4", "#b04a00", "#1a7f37", "#a3267a", "#7a6400", "#00706a"),
}
_BANDS = {True: ("#4c93e6", "#2f5d91", "#243d5c"), False: ("#3d7fd6", "#8fb8ea", "#cfe0f5")}


@dataclass(frozen=True)
class Palette:
    """Styles by meaning."""

    text: Style
    dim: Style
    faint: Style
    strong: Style
    ok: Style
    bad: Style
    warn: Style
    head: Style
    cursor: Style
    cursor_away: Style
    bands: tuple[Style, Style, Style]
    kinds: dict[str, Style]
    series: tuple[Style, ...]
    background: str

    def kind(self, name: str) -> Style:
        """A kind's colour."""
        return self.kinds.get(name, self.series[2])

    def level(self, level: str) -> Style:
        """A status level's or a severity's colour."""
        return {
            "ok": self.ok, "failing": self.bad, "critical": self.bad, "warning": self.warn, "lagging": self.warn,
            "stale": self.dim, "info": self.dim,
        }.get(level, self.text)  # fmt: skip


def dimmed(palette: Palette) -> Palette:
    """The same without colours: what is shown is not of now."""
    dim = palette.dim
    return replace(
        palette,
        text=dim, strong=dim, ok=dim, bad=dim, warn=dim,
        bands=(dim, palette.faint, palette.faint),
        kinds=dict.fromkeys(palette.kinds, dim),
        series=(dim,) * len(palette.series),
    )  # fmt: skip


MARKS = {"ok": "●", "failing": "▲", "lagging": "◆", "stale": "○", "critical": "▲", "warning": "◆", "info": "●"}
"""So that a level is seen without colours."""


def palette_of(theme: dict[str, str], *, dark: bool) -> Palette:
    """The palette for a theme's CSS variables."""

    def colour(name: str, otherwise: str) -> str:
        value = theme.get(name, otherwise)
        return value if value.startswith("#") and len(value) == 7 else otherwise

    base = DARK if dark else LIGHT
    background = colour("background", base.background or "#000000")
    foreground = colour("foreground", base.foreground or "#ffffff")
    dim = "#8b98a5" if dark else "#5c6773"
    return Palette(
        text=Style(color=foreground),
        dim=Style(color=dim),
        faint=Style(color="#3a4652" if dark else "#c3cad2"),
        strong=Style(color=foreground, bold=True),
        ok=Style(color=colour("success", base.success or "")),
        bad=Style(color=colour("error", base.error or ""), bold=True),
        warn=Style(color=colour("warning", base.warning or "")),
        head=Style(color=dim, bold=True),
        cursor=Style(bgcolor="#28405c" if dark else "#cfe2fb"),
        cursor_away=Style(bgcolor="#222c38" if dark else "#e6eaef"),
        bands=tuple(Style(color=c) for c in _BANDS[dark]),  # type: ignore[arg-type]
        kinds={name: Style(color=c) for name, c in _KINDS[dark].items()},
        series=tuple(Style(color=c) for c in _SERIES[dark]),
        background=background,
    )
