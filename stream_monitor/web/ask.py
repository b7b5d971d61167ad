"""What a browser or a program asks for, out of a URL's parameters: a range, components, an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from fastapi import Query as Parameter
from pydantic import AfterValidator, WithJsonSchema

from stream_monitor.board.name import series_of
from stream_monitor.board.when import LEAST_MS, MOST_MS, When, moment_of
from stream_monitor.core.metric import SeriesId
from stream_monitor.core.snapshot import Range
from stream_monitor.core.timeline import STEPS_MS
from stream_monitor.core.view import Query, words_of
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS
from stream_monitor.feed import Feed
from stream_monitor.kinds import KINDS
from stream_monitor.web.problem import ProblemError

Resolution = Literal["1m", "5m", "15m", "1h", "6h", "1d"]
Theme = Literal["light", "dark"]
Sort = Literal[
    "entity", "kind", "status", "records", "volume", "error_rate", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "lag",
    "confidence_mean", "drift", "-entity", "-kind", "-status", "-records", "-volume", "-error_rate", "-mean_ms",
    "-p50_ms", "-p95_ms", "-p99_ms", "-lag", "-confidence_mean", "-drift",
]  # fmt: skip


def _kind(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"no kind of log is called so; there are {', '.join(KINDS)}")
    return name


Kind = Annotated[str, AfterValidator(_kind), WithJsonSchema({"type": "string", "enum": list(KINDS)})]

ROUGH_MS = {15 * MINUTE_MS: HOUR_MS, 6 * HOUR_MS: DAY_MS}
"""In which steps a range is shown first, by its own: longer windows are few, and soon read."""
RESOLUTION_MS = dict(zip(get_args(Resolution), STEPS_MS, strict=True))
MOST_STEPS = 5_000
MOST_PICKED = 40

From = Annotated[
    str,
    Parameter(
        alias="from", max_length=40, examples=["now-6h", "2026-01-15T10:30:00Z"],
        description="Where the range begins: `now-6h` (m, h, d, w) or a time (ISO 8601; UTC if it says nothing)",
    ),
]  # fmt: skip
To = Annotated[
    str,
    Parameter(max_length=40, examples=["now"], description="Where it ends: `now`, or as `from`. At most 400 days"),
]
Words = Annotated[
    str,
    Parameter(
        max_length=300, examples=["etl load, fraud"],
        description="Words that a component's name must hold; commas between alternatives; `kafka:` is a kind",
    ),
]  # fmt: skip
Names = Annotated[
    list[Annotated[str, Parameter(max_length=1300)]] | None,
    Parameter(
        max_length=MOST_PICKED, examples=[["ml:ml.predictor/v1.2.3"]],
        description="Components by `name`, `kind:label/label`; repeated for several. All, if there is none",
    ),
]  # fmt: skip
Step = Annotated[Resolution | None, Parameter(description="The length of a step; chosen by the range if not said")]


@dataclass(frozen=True)
class Ask:
    """A range that ends now (`at_ms` None) or at a time, and which components."""

    length_ms: int
    at_ms: int | None = None
    words: tuple[tuple[str, ...], ...] = ()
    picked: frozenset[SeriesId] = frozenset()
    step_ms: int | None = None

    @property
    def is_live(self) -> bool:
        """The range ends now."""
        return self.at_ms is None

    def query(self, feed: Feed) -> Query:
        """The question to the feed, as of its clock."""
        when = When(self.length_ms, self.at_ms)
        query = when.query(feed.now_ms(), feed.newest_ms(), feed.series_count(), self.words, self.picked)
        return query if self.step_ms is None else self._in_steps(query, self.step_ms)

    def rough(self, query: Query) -> Query | None:
        """The same in longer steps, for a first look while its own are read; None where it is not worth it."""
        step_ms = ROUGH_MS.get(query.step_ms) if self.is_live and self.step_ms is None else None
        return None if step_ms is None else self._in_steps(query, step_ms)

    def _in_steps(self, query: Query, step_ms: int) -> Query:
        if step_ms == query.step_ms:
            return query
        first = query.range.to_ms - self.length_ms
        within = Range(first - first % step_ms, query.range.to_ms)
        return Query(within, step_ms, query.live, self.words, self.picked)


def ask_of(
    now_ms: int, since: str, until: str, words: str = "", names: Sequence[str] = (), step: Resolution | None = None
) -> Ask:
    """Raises ProblemError (422) where the parameters are none of a range."""
    is_live = until.strip().lower() == "now"
    to_ms = _moment("to", until, now_ms)
    length_ms = to_ms - _moment("from", since, now_ms)
    if length_ms < LEAST_MS:
        raise ProblemError(
            422, f"from {since!r} to {until!r}: a range is at least {LEAST_MS // MINUTE_MS} minutes long"
        )
    if length_ms > MOST_MS:
        raise ProblemError(422, f"from {since!r} to {until!r}: a range is at most {MOST_MS // DAY_MS} days long")
    step_ms = None if step is None else RESOLUTION_MS[step]
    if step_ms is not None and length_ms // step_ms > MOST_STEPS:
        raise ProblemError(
            422, f"resolution {step}: the range has more than {MOST_STEPS} such steps; take a longer one"
        )
    picked = frozenset(_series(name) for name in names)
    return Ask(length_ms, None if is_live else to_ms, words_of(words), picked, step_ms)


def _moment(name: str, text: str, now_ms: int) -> int:
    found = moment_of(text, now_ms)
    if found is None:
        raise ProblemError(422, f"{name} {text!r} is no time: now-6h, now, 2026-01-15T10:30:00Z")
    if not 0 <= found <= now_ms + 366 * DAY_MS:
        raise ProblemError(422, f"{name} {text!r} is before 1970 or more than a year ahead")
    return found


def _series(name: str) -> SeriesId:
    found = series_of(name, KINDS)
    if found is None:
        raise ProblemError(
            422, f"component {name[:120]!r} is not kind:label/label, such as ml:ml.predictor/v1.2.3"
        )
    return found


def default_every_s(length_ms: int) -> float:
    """How often a view of such a range is made anew: short ones live, long ones each minute."""
    return 2.0 if length_ms <= 2 * HOUR_MS else 10.0 if length_ms <= 12 * HOUR_MS else 60.0
