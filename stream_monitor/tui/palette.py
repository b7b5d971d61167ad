"""The colours that mean something, for dark and light. Each has a word, a mark or a place beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rich.style import Style
from textual.app import App
from textual.theme import Theme

from stream_monitor.board.colours import Colours, colours


def _theme(name: str, of: Colours, *, dark: bool) -> Theme:
    return Theme(
        name=name, dark=dark, primary=of.primary, secondary=of.secondary, accent=of.accent, warning=of.warning,
        error=of.error, success=of.success, foreground=of.foreground, background=of.background, surface=of.surface,
        panel=of.panel,
    )  # fmt: skip


DARK = _theme("monitor-dark", colours(dark=True), dark=True)
LIGHT = _theme("monitor-light", colours(dark=False), dark=False)


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
    key: Style
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


def palette_in(app: App[Any]) -> Palette:
    """The palette for the theme that the app has now."""
    return palette_of(app.theme_variables, dark=app.current_theme.dark)


def palette_of(theme: dict[str, str], *, dark: bool) -> Palette:
    """The palette for a theme's CSS variables."""

    def colour(name: str, otherwise: str) -> str:
        value = theme.get(name, otherwise)
        return value if value.startswith("#") and len(value) == 7 else otherwise

    base = colours(dark=dark)
    background = colour("background", base.background)
    foreground = colour("foreground", base.foreground)
    dim = base.dim
    return Palette(
        text=Style(color=foreground),
        dim=Style(color=dim),
        faint=Style(color=base.faint),
        strong=Style(color=foreground, bold=True),
        ok=Style(color=colour("success", base.success)),
        bad=Style(color=colour("error", base.error), bold=True),
        warn=Style(color=colour("warning", base.warning)),
        head=Style(color=dim, bold=True),
        key=Style(color=colour("accent", base.accent), bold=True),
        cursor=Style(bgcolor="#28405c" if dark else "#cfe2fb"),
        cursor_away=Style(bgcolor="#222c38" if dark else "#e6eaef"),
        bands=tuple(Style(color=c) for c in base.bands),  # type: ignore[arg-type]
        kinds={name: Style(color=c) for name, c in base.kinds.items()},
        series=tuple(Style(color=c) for c in base.series),
        background=background,
    )
