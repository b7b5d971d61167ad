"""Questions in front of the screen: one of some answers, or one that is typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.command import CommandList, CommandPalette
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static


class Ask(ModalScreen[str | None]):
    """Dismissed with the answer, or with None by Esc. `check` says what is wrong with a typed one, or nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back"),
        Binding("down", "options", show=False),
    ]

    def __init__(
        self, title: str, hint: str, answers: Sequence[tuple[str, str]], check: Callable[[str], str | None]
    ) -> None:
        """`answers`: what is shown, and what it stands for."""
        super().__init__()
        self._title, self._hint, self._answers, self._check = title, hint, answers, check

    def compose(self) -> ComposeResult:
        """A line to type in, the answers, and what is wrong."""
        with Vertical(id="ask"):
            yield Label(self._title, id="ask-title", markup=False)
            yield Input(placeholder=self._hint, id="ask-input")
            yield OptionList(*(said for said, _ in self._answers), id="ask-answers", markup=False)
            yield Static("", id="ask-wrong", markup=False)

    def on_mount(self) -> None:
        """Ready to type."""
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """What was typed."""
        wrong = self._check(event.value)
        if wrong is None:
            self.dismiss(event.value)
        else:
            self.query_one("#ask-wrong", Static).update(wrong)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """One of the answers."""
        self.dismiss(self._answers[event.option_index][1])

    def action_options(self) -> None:
        """From the line to the answers, at once: a key that follows is for them."""
        self.set_focus(self.query_one(OptionList))

    def action_leave(self) -> None:
        """No answer."""
        self.dismiss(None)


class Commands(CommandPalette):
    """Textual's, without a fault of its: a page up or down in a list that is still empty is no key error."""

    def _action_command_list(self, action: str) -> None:
        if self.query_one(CommandList).option_count:
            super()._action_command_list(action)


HELP = """\
1 … 6     Overview, Airflow, Kafka, ML, Alerts, Logs
?         these keys               : or Ctrl+P   all commands
/         filter as you type: words that must all be there, commas
          between alternatives; kafka: is all of a kind
Space     pick a component: cards and charts show what is picked
x         no filter, nothing picked       Esc   one thing less
Enter     the raw log records behind a row, a step, an alert
Tab       from the table to the charts;  ← → there: another step
↑ ↓ j k   a row       PgUp PgDn Home End g G   more of them
s   S     sort by the next column;  the other way round
w  + -    choose a range;  longer, shorter
t         time machine: -2h, 14:30, 2024-01-15 10:30 (UTC)
p         pause, or play in the past       < >   slower, faster
,   .     a step back, a step on           l     live again
r   i     refresh now;  refresh less often
e   y     export CSV and SVG;  copy the row
v   d     the other charts;  dark or light
q         quit

● ok  ▲ failing  ◆ lagging, warning  ○ stale  ◈ picked   – no value
All times are UTC. In a line of bars a dot is zero, a gap no data.
≈ behind is lag / throughput. The bands are p50, p95 and p99."""


class Help(ModalScreen[None]):
    """The keys and marks."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "leave", "back"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def compose(self) -> ComposeResult:
        """One text."""
        with VerticalScroll(id="help"):
            yield Static(HELP, markup=False)

    def on_mount(self) -> None:
        """Its title."""
        box = self.query_one("#help")
        box.border_title = "keys"
        box.border_subtitle = "Esc goes back"

    def action_leave(self) -> None:
        """Away."""
        self.dismiss(None)

    def action_scroll(self, by: int) -> None:
        """In a small terminal."""
        self.query_one("#help").scroll_relative(y=by, animate=False)
