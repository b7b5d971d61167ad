"""Charts and text: always exactly the rectangle, whatever the values and names; marks at the heights of values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from stream_monitor.board.words import ago, length, percent, short, span
from stream_monitor.tui.canvas import Canvas, bar, spark, squeeze
from stream_monitor.tui.chart import draw, nice_top
from stream_monitor.tui.drawing import Axis, Bands, Bars, Curve, Lines, Share, Shares, Stack
from stream_monitor.tui.palette import DARK, palette_of
from stream_monitor.tui.text import clean, fit

PALETTE = palette_of({}, dark=True)
RED = Style(color="red")

values = st.lists(st.none() | st.floats(0, 1e12) | st.just(0.0), max_size=200)
names = st.text(max_size=80)


def text_of(line):
    return "".join(segment.text for segment in line)


@st.composite
def drawings(make):
    found = make(values)
    axis = Axis([f"{n % 24:02}:00" for n in range(len(found))])
    curves = [Curve(make(names), found, RED, make(names)) for _ in range(make(st.integers(0, 4)))]
    triples = [None if v is None else (v / 3, v / 2, v) for v in found]
    shares = [Share(make(names), make(st.none() | st.floats(-1, 2)), make(st.text("0123%", max_size=6)), RED, "●")
              for _ in range(make(st.integers(0, 12)))]  # fmt: skip
    kind = make(st.integers(0, 4))
    return (
        Lines(curves, axis, short), Stack(curves, axis, short), Bands(triples, axis, span),
        Bars(found, axis, percent, RED), Shares(shares),
    )[kind]  # fmt: skip


@given(drawings(), st.integers(0, 120), st.integers(0, 30), st.none() | st.integers(-2, 220))
def test_a_chart_fills_its_rectangle_exactly(drawing, width, height, cursor):
    lines = draw(drawing, width, height, PALETTE, cursor)
    assert len(lines) == height
    assert {sum(cell_len(segment.text) for segment in line) for line in lines} <= {width}


def test_bars_stand_as_high_as_their_values():
    """Eight eighths a row: of a top of 100 over four rows, 50 is two full rows, 25 one, 0 a mark, None nothing."""
    lines = draw(Bars([100, 50, 25, 0, None], Axis(["a"] * 5), short, RED), 5 + len("100") + 1, 5, PALETTE)
    plot = [text_of(line)[len("100") + 1 :] for line in lines[:4]]
    assert plot == ["█    ", "█    ", "██   ", "███▁ "]


def test_bands_stand_on_each_other():
    lines = draw(Bands([(25, 50, 100), None], Axis(["a", "b"]), short), 2 + len("100") + 1, 5, PALETTE)
    colours = [line[1].style for line in lines[:4]]
    assert colours == [PALETTE.bands[2], PALETTE.bands[2], PALETTE.bands[1], PALETTE.bands[0]]
    assert [text_of(line)[-1] for line in lines[:4]] == [" "] * 4


def test_a_line_runs_through_its_values_and_has_gaps():
    canvas = Canvas(4, 1)
    canvas.plot([0, 0, None, None, None, None, 10, 10], 10, RED)
    assert text_of(canvas.lines()[0]) == "⣀  ⠉"


def test_sparks_and_bars():
    assert spark([None, 0, 1, 7], 6) == "   ·▁▇"
    assert spark([1] * 100, 5) == "▇▇▇▇▇"
    assert spark([], 3) == "   "
    assert [bar(ratio, 4) for ratio in (0, 0.001, 0.5, 1, 7)] == ["    ", "▇   ", "▇▇  ", "▇▇▇▇", "▇▇▇▇"]
    assert squeeze([1, 9, 2, None, None, None], 3) == [9, 2, None]


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (1.01, 1.5), (97, 100), (130, 150), (0.034, 0.05), (7.6e9, 1e10)]
)
def test_a_scale_ends_at_a_round_number(value, top):
    assert nice_top(value) == pytest.approx(top)


def test_numbers_are_short():
    shown = [short(v) for v in (None, 0, 0.004, 0.5, 1, 12.34, 999, 1000, 9960, 61_250, 39_311_927, 2.5e17)]
    assert shown == ["–", "0", "0.004", "0.5", "1", "12", "999", "1k", "10k", "61k", "39M", "250P"]
    assert span(-7_500_000) == "-2h05m"
    assert [span(v) for v in (None, 0, 0.004, 8.23, 840, 29_200, 201_000, 7_500_000, 4e8)] == [
        "–", "0ms", "<0.1ms", "8.2ms", "840ms", "29.2s", "3m21s", "2h05m", "4d",
    ]  # fmt: skip
    assert [percent(v) for v in (None, 0, 0.0001, 0.0129, 0.5, 1)] == ["–", "0%", "<0.1%", "1.3%", "50%", "100%"]
    assert [ago(v) for v in (None, 0, 40_000, 180_000, 7_200_000, 4e8)] == ["–", "now", "40s", "3m", "2h", "4d"]
    assert [length(v) for v in (900_000, 3_600_000, 86_400_000, 604_800_000)] == ["15 min", "1 h", "24 h", "7 d"]


@given(st.floats(0, 1e18))
def test_a_number_is_never_wide(value):
    assert len(short(value)) <= 6


HOSTILE = [
    "[bold red]markup[/]", "\x1b[31mescape\x1b[0m\x07", "tab\tnew\nline\r", "\u202eright to left", "שלום עולם",
    "مرحبا",
    "👩‍👩‍👧‍👦 family 🏳️‍🌈",
    "e" + "\u0301" * 500, "x" * 10_000, "漢字" * 200, "\u200b\u200d\ufeff", "", "\ud800", "a\x00b",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("width", [1, 7, 40])
def test_whatever_a_name_is_it_fills_its_cell(name, width):
    shown = fit(clean(name), width)
    assert cell_len(shown) == width
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert all(char.isprintable() for char in shown)


@given(st.text(max_size=300), st.integers(1, 60), st.booleans())
def test_any_text_fills_its_cell(name, width, right):
    assert cell_len(fit(clean(name), width, right=right)) == width


def test_the_themes_palette_is_used():
    assert PALETTE.background == DARK.background
    assert palette_of({"background": "#010203"}, dark=True).background == "#010203"
