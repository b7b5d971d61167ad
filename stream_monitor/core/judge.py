"""The rule engine: minutes in, transitions out; what it costs follows what has changed.

A minute of a series is judged by the rules that are about that series, and by nothing else. What no minute shows
(silence, data that never come again) waits in a queue for its moment of the kind's clock:

    minute ──▶ history, usual ──▶ conditions ──▶ alert.step ──▶ transitions
                                                    ▲
    clock  ──▶ moments that are due ────────────────┘

The clock of a kind is the start of its newest minute: minutes of a topic close together, so when one has come,
those before it have. It may be pushed further by whoever knows that nothing more is coming (`advance`). What
comes out depends on the order of minutes and pushes alone; a minute that was judged already changes nothing.

Of more than `most` series the longest silent ones without an alert make room, and where there is none a newcomer
is not judged (docs/reference/alerts.md says what a series takes).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stream_monitor.core import measure
from stream_monitor.core.alert import Alert, Event, Reason, Transition, stale_at_ms, step
from stream_monitor.core.history import History
from stream_monitor.core.record import Kind
from stream_monitor.core.rule import Absent, Rule, StatusIs
from stream_monitor.core.usual import SILENT_GAPS, Gaps, Lags, Shape
from stream_monitor.core.window import DAY_MS, HOUR_MS, MINUTE_MS

FORGOTTEN_MS = 7 * DAY_MS
"""A series without data for so long is forgotten, with its alerts."""
IDLE_MS = HOUR_MS
"""One that is silent for so long makes room where there are too many."""
_LEAST_MOMENTS = 1000
"""A queue of so few is not worth a clean-up."""


class Plan:
    """What is done with the minutes of the series that the same rules are about."""

    def __init__(self, kind: Kind, rules: Sequence[Rule]) -> None:
        self.kind = kind
        self.rules = {rule.name: rule for rule in rules}
        conditions = [rule.condition for rule in rules]
        self.fields = list(dict.fromkeys(name for c in conditions for name in measure.counts_of(c, kind)))
        self.counts = measure.counted(self.fields)
        self.hours_ms = max((measure.hours_needed_ms(c, kind) for c in conditions), default=0)
        reads = [(rule, measure.reader(rule.condition, kind, self.fields)) for rule in rules]
        self.reads = [(rule, read) for rule, read in reads if read is not None]
        self.timed = [(rule, read) for rule, read in self.reads if isinstance(rule.condition, StatusIs)]
        self.absent = [rule for rule in rules if isinstance(rule.condition, Absent)]
        names = [getattr(c, "measure", "status") for c in conditions]
        self.has_lags = measure.LAG in kind.gauges and any(map(measure.needs_lags, names))
        self.has_shape = kind.classes and any(map(measure.needs_shape, names))


class Series:
    """What is known of a series, and its alerts."""

    __slots__ = (
        "alerts",
        "due_ms",
        "gaps",
        "history",
        "is_dirty",
        "key",
        "labels",
        "lags",
        "last_ms",
        "plan",
        "shape",
    )

    def __init__(self, key: bytes, labels: tuple[str, ...], plan: Plan) -> None:
        self.key, self.labels, self.plan = key, labels, plan
        self.history = History(plan.fields, plan.hours_ms)
        self.gaps, self.lags, self.shape = Gaps(), Lags(), Shape()
        self.alerts: dict[str, Alert] = {}
        self.last_ms: int | None = None
        """The start of its newest minute."""
        self.due_ms: int | None = None
        """When it stands in the queue."""
        self.is_dirty = False

    def out(self) -> dict[str, Any]:
        """Plain values, for a row."""
        return {
            "last": self.last_ms,
            "history": self.history.out(),
            "gaps": self.gaps.out(),
            "lags": self.lags.out(),
            "shape": self.shape.out(),
            "alerts": [[name, alert.out()] for name, alert in self.alerts.items()],
        }

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Take what `out` gave."""
        self.last_ms = plain["last"]
        self.history.restore(plain["history"])
        for part in ("gaps", "lags", "shape"):
            getattr(self, part).restore(plain[part])
        self.alerts = {name: Alert(*alert) for name, alert in plain["alerts"]}


class Judge:
    """The series that it has seen, by key, and their alerts."""

    def __init__(self, rules: Iterable[Rule], kinds: Mapping[str, Kind], *, most: int = 1_000_000) -> None:
        self._rules = list(rules)
        self._kinds = kinds
        self._most = most
        self._room_ms: dict[str, int] = {}
        """By kind: its clock when room was looked for last."""
        self.unjudged = 0
        """Minutes of series for which there was no room."""
        self._plans: dict[tuple[str, tuple[str, ...]], Plan] = {}
        self._queues: dict[str, list[tuple[int, bytes]]] = {name: [] for name in kinds}
        self.series: dict[bytes, Series] = {}
        self.clocks: dict[str, int] = dict.fromkeys(kinds, 0)
        self.dirty: list[Series] = []
        self.forgotten: list[bytes] = []

    def _new(self, key: bytes, kind: Kind, labels: tuple[str, ...]) -> Series:
        named, entity = dict(zip(kind.labels, labels, strict=True)), kind.entity(labels)
        rules = [rule for rule in self._rules if rule.judges(kind.name, named, entity)]
        place = (kind.name, tuple(rule.name for rule in rules))
        plan = self._plans.get(place)
        if plan is None:
            plan = self._plans[place] = Plan(kind, rules)
        series = self.series[key] = Series(key, labels, plan)
        return series

    def restore(
        self, key: bytes, kind: str, labels: tuple[str, ...], plain: Mapping[str, Any]
    ) -> list[Transition]:
        """Take a series' row. Alerts whose rules are gone resolve; returns those."""
        series = self._new(key, self._kinds[kind], labels)
        series.restore(plain)
        found = []
        for name, alert in list(series.alerts.items()):
            if name not in series.plan.rules:
                del series.alerts[name]
                self._touch(series)
                if alert.firing_ms is not None:
                    rule = next((r for r in self._rules if r.name == name), Rule(name, Absent(None)))
                    found.append(self._transition(series, rule, alert, "resolved", alert.held_ms, "rule removed"))
        self._queue(series)
        return found

    def _touch(self, series: Series) -> None:
        if not series.is_dirty:
            series.is_dirty = True
            self.dirty.append(series)

    # Minutes

    def take(self, key: bytes, labels: tuple[str, ...], minute: Any) -> list[Transition]:
        """Judge a closed minute. One that is older than the newest of its series only corrects its history.

        A correction of the newest may begin an alert, but changes none that fires: an end and a new beginning in
        one minute would have the same identity, of which the end is what counts.
        """
        kind, start_ms = minute.kind, minute.start_ms
        found = self.advance(kind, start_ms) if start_ms > self.clocks[kind] else []
        series = self.series.get(key) or self._admit(key, kind, labels)
        if series is None:
            return found
        self._touch(series)
        plan, last_ms = series.plan, series.last_ms
        if plan.fields:
            series.history.put(start_ms, plan.counts(minute))
        if last_ms is not None and start_ms < last_ms:
            return found
        is_new = last_ms is None or start_ms > last_ms
        if is_new:
            self._note(series, minute)
        end_ms, alerts = start_ms + MINUTE_MS, series.alerts
        for rule, read in plan.reads:
            alert = alerts.get(rule.name)
            if alert is not None and alert.firing_ms is not None and not is_new:
                continue
            verdict = read(series, minute, end_ms, alert)
            if alert is not None or verdict.begins:
                self._take(series, rule, step(rule, alert, verdict, start_ms, end_ms), alert, end_ms, found)
        for rule in plan.absent if is_new else ():
            alert = alerts.pop(rule.name, None)
            if alert is not None:
                found.append(self._transition(series, rule, alert, "resolved", end_ms, "recovered"))
        if series.due_ms is None or alerts or plan.absent or plan.timed:
            self._queue(series)
        return found

    def _note(self, series: Series, minute: Any) -> None:
        """A series' newest minute."""
        series.gaps.note(minute.start_ms, series.last_ms)
        series.last_ms = minute.start_ms
        if series.plan.has_lags:
            gauges = minute.gauges
            series.lags.take(gauges.get(measure.LAG) or {}, gauges.get(measure.RATE) or {})
        if series.plan.has_shape:
            series.shape.take(minute.start_ms, minute.bins, minute.classes)

    def _take(
        self,
        series: Series,
        rule: Rule,
        outcome: tuple[Alert | None, Event],
        before: Alert | None,
        at_ms: int,
        found: list[Transition],
        reason: Reason = "recovered",
    ) -> None:
        alert, event = outcome
        if alert is None:
            series.alerts.pop(rule.name, None)
        else:
            series.alerts[rule.name] = alert
        told = alert or before
        if event and told is not None:
            found.append(self._transition(series, rule, told, event, at_ms, reason if event == "resolved" else ""))

    def _transition(
        self, series: Series, rule: Rule, alert: Alert, state: Any, at_ms: int, reason: Reason
    ) -> Transition:
        severity, since_ms, value = alert.severity, alert.since_ms, alert.value
        return Transition(
            rule, series.plan.kind.name, series.labels, state, severity, since_ms, at_ms, value, reason
        )

    # Room

    def _admit(self, key: bytes, kind: str, labels: tuple[str, ...]) -> Series | None:
        """A newcomer; None where there is no room for it."""
        if len(self.series) >= self._most:
            self._make_room(kind)
        if len(self.series) >= self._most:
            self.unjudged += 1
            return None
        return self._new(key, self._kinds[kind], labels)

    def _make_room(self, kind: str) -> None:
        """For many at a time, and looked for once a minute of the newcomer's clock."""
        clock_ms = self.clocks[kind]
        if clock_ms < self._room_ms.get(kind, 0) + MINUTE_MS:
            return
        self._room_ms[kind] = clock_ms
        silent = ((self._silent_ms(series), key) for key, series in self.series.items() if not series.alerts)
        over = len(self.series) - self._most
        idle = (each for each in silent if each[0] >= IDLE_MS)
        for _, key in heapq.nlargest(over + 1 + self._most // 10, idle):
            self._drop(key)

    def _silent_ms(self, series: Series) -> int:
        return self.clocks[series.plan.kind.name] - (series.last_ms or 0)

    def _drop(self, key: bytes) -> None:
        del self.series[key]
        self.forgotten.append(key)

    # The clock

    def _queue(self, series: Series, looked_ms: int = 0) -> None:
        """Put it in the queue for its next moment, unless it stands there for that one or an earlier one.

        A moment that has passed was taken: the next look is a minute later.
        """
        due_ms = self._due_ms(series, looked_ms)
        if due_ms <= looked_ms:
            due_ms = looked_ms + MINUTE_MS
        if series.due_ms is None or due_ms < series.due_ms:
            series.due_ms = due_ms
            kind = series.plan.kind.name
            heapq.heappush(self._queues[kind], (due_ms, series.key))
            if len(self._queues[kind]) > max(_LEAST_MOMENTS, 2 * len(self.series)):
                self._clean_queue(kind)

    def _clean_queue(self, kind: str) -> None:
        """Leave out moments that an earlier one took the place of: an alert that comes and goes leaves many."""
        queue = self._queues[kind]
        queue[:] = {m for m in queue if m[1] in self.series and self.series[m[1]].due_ms == m[0]}
        heapq.heapify(queue)

    def _due_ms(self, series: Series, looked_ms: int) -> int:
        assert series.last_ms is not None
        plan, last_end_ms = series.plan, series.last_ms + MINUTE_MS
        moments = [last_end_ms + FORGOTTEN_MS]
        absences = [self._absent_at_ms(series, rule) for rule in plan.absent if rule.name not in series.alerts]
        moments += [moment for moment in absences if moment is not None]
        for name, alert in series.alerts.items():
            rule = plan.rules[name]
            if isinstance(rule.condition, Absent):
                continue
            moments.append(stale_at_ms(rule, last_end_ms))
            if alert.firing_ms is not None and alert.held_ms < last_end_ms:  # let go, and kept for a while
                moments.append(alert.held_ms + rule.keep_firing_ms)
        if plan.timed and plan.has_lags:
            stops_ms = series.lags.stops_at_ms(max(last_end_ms, looked_ms))
            moments += [] if stops_ms is None else [stops_ms]
        return min(moments)

    def _absent_at_ms(self, series: Series, rule: Rule) -> int | None:
        condition = rule.condition
        assert isinstance(condition, Absent)
        assert series.last_ms is not None
        for_ms = condition.for_ms
        if for_ms is None:
            usual_ms = series.gaps.usual_ms(series.last_ms)
            if usual_ms is None:
                return None
            for_ms = max(condition.least_ms, round(SILENT_GAPS * usual_ms))
        return series.last_ms + MINUTE_MS + for_ms

    def next_ms(self, kind: str) -> int | None:
        """The next moment of a kind's clock at which something is due, or is looked at again."""
        queue = self._queues[kind]
        return queue[0][0] if queue else None

    def advance(self, kind: str, clock_ms: int) -> list[Transition]:
        """The kind's clock is at least there: take the moments that are due, in their order."""
        found: list[Transition] = []
        if clock_ms <= self.clocks[kind]:
            return found
        self.clocks[kind] = clock_ms
        queue = self._queues[kind]
        while queue and queue[0][0] <= clock_ms:
            due_ms, key = heapq.heappop(queue)
            series = self.series.get(key)
            if series is None or series.due_ms != due_ms:
                continue
            series.due_ms = None
            self._look(series, due_ms, found)
            if key in self.series:
                self._queue(series, due_ms)
        return found

    def _look(self, series: Series, now_ms: int, found: list[Transition]) -> None:
        """A moment has come: whatever is due then."""
        assert series.last_ms is not None
        last_end_ms = series.last_ms + MINUTE_MS
        if now_ms >= last_end_ms + FORGOTTEN_MS:
            self._forget(series, now_ms, found)
            return
        for rule in series.plan.absent:
            absent_ms = self._absent_at_ms(series, rule)
            if absent_ms is not None and absent_ms <= now_ms and rule.name not in series.alerts:
                silence_s = (absent_ms - last_end_ms) / 1000
                alert = Alert(last_end_ms, absent_ms, rule.severity, silence_s, None, absent_ms)
                series.alerts[rule.name] = alert
                found.append(self._transition(series, rule, alert, "firing", absent_ms, ""))
                self._touch(series)
        for name, alert in list(series.alerts.items()):
            rule = series.plan.rules[name]
            if not isinstance(rule.condition, Absent):
                self._end(series, rule, alert, now_ms, found)
        for rule, read in series.plan.timed if series.plan.has_lags else ():
            before = series.alerts.get(rule.name)
            verdict = read(series, None, now_ms, before)
            if before is not None or verdict.begins:
                self._take(series, rule, step(rule, before, verdict, last_end_ms, now_ms), before, now_ms, found)
                self._touch(series)

    def _end(self, series: Series, rule: Rule, alert: Alert, now_ms: int, found: list[Transition]) -> None:
        """Without data: what was let go on for a while is over, and what nobody can say any more is, too."""
        assert series.last_ms is not None
        last_end_ms = series.last_ms + MINUTE_MS
        let_go = alert.held_ms < last_end_ms and now_ms >= alert.held_ms + rule.keep_firing_ms
        is_stale = now_ms >= stale_at_ms(rule, last_end_ms)
        if is_stale or (let_go and alert.firing_ms is not None):
            reason: Reason = "recovered" if let_go else "no data"
            event: Event = "" if alert.firing_ms is None else "resolved"
            self._take(series, rule, (None, event), alert, now_ms, found, reason)
            self._touch(series)

    def _forget(self, series: Series, now_ms: int, found: list[Transition]) -> None:
        rules = series.plan.rules
        found += [
            self._transition(series, rules[name], alert, "resolved", now_ms, "component forgotten")
            for name, alert in series.alerts.items()
            if alert.firing_ms is not None
        ]
        self._drop(series.key)
