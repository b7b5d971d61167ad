"""Whom to tell what, and when: once, grouped, not while silenced, not too often."""

from __future__ import annotations

import itertools
import random

import pytest

from stream_monitor import wire
from stream_monitor.core.silence import Silence
from stream_monitor.notify.channel import alertmanager_alert
from stream_monitor.notify.dispatch import MAX_TRIES, Dispatch, Policy, pause_ms, text
from stream_monitor.wire import AlertRecord

NOW = 1_800_000_000_000
OFFSETS = itertools.count()


def alert(entity="a", state="firing", severity="warning", rule="R", at=0, kind="ml", since=0):
    return AlertRecord(
        rule=rule, kind=kind, labels={"service": entity}, entity=entity, state=state, severity=severity,
        since=wire.iso(NOW + since), at=wire.iso(NOW + 60_000 + at), value=1.5, summary=f"{entity} is ill",
        reason="recovered" if state == "resolved" else "", runbook_url="https://runbook",
    )  # fmt: skip


def dispatch(*records, **policy):
    found = Dispatch(Policy(**{"group_wait_ms": 0, **policy}))
    for record in records:
        found.take(record, next(OFFSETS), NOW)
    return found


def drain(found, now=NOW):
    """All messages that are due, taken at once: (state, entity) of each."""
    messages = []
    while (message := found.due(now)) is not None:
        found.sent(message, now)
        messages.append([(a.state, a.entity) for a in message.alerts])
    return messages


class TestOnce:
    def test_firing_is_told_and_then_its_end(self):
        found = dispatch(alert())
        assert drain(found) == [[("firing", "a")]]
        assert drain(found) == []
        found.take(alert(), 5, NOW)
        assert drain(found) == []
        found.take(alert(state="resolved", at=5), 6, NOW)
        assert drain(found) == [[("resolved", "a")]]

    def test_what_began_and_ended_while_nobody_was_looking_is_not_told(self):
        assert drain(dispatch(alert(), alert(state="resolved", at=5))) == []

    def test_a_firing_that_comes_behind_its_end_is_old(self):
        found = dispatch(alert())
        drain(found)
        for record in (alert(state="resolved", at=5), alert(at=3)):
            found.take(record, 9, NOW)
        assert drain(found) == [[("resolved", "a")]]

    def test_what_a_worker_says_once_more_after_a_crash_is_not_told_again(self):
        found = dispatch(alert())
        drain(found)
        found.take(alert(state="resolved", at=5), 8, NOW)
        drain(found)
        for record in (alert(), alert(state="resolved", at=5)):
            found.take(record, 9, NOW)
            assert drain(found) == []

    def test_worse_is_told_again(self):
        found = dispatch(alert())
        drain(found)
        found.take(alert(severity="critical", at=9), 9, NOW)
        assert drain(found) == [[("firing", "a")]]

    def test_after_a_restart_what_was_dealt_with_is_known(self):
        found = Dispatch(Policy(group_wait_ms=0))
        found.take(alert(), 1, NOW, told=True)
        assert drain(found) == []
        found.take(alert(state="resolved", at=5), 2, NOW)
        assert drain(found) == [[("resolved", "a")]]

    def test_below_the_least_severity_nothing_is_told(self):
        found = dispatch(alert(severity="info"), alert("b"), min_severity="warning")
        assert drain(found) == [[("firing", "b")]]
        assert found.settled(99) == 99

    def test_repeated_where_the_channel_wants_it(self):
        found = dispatch(alert(), repeat_ms=1000)
        assert (len(drain(found)), len(drain(found, NOW + 999)), len(drain(found, NOW + 1000))) == (1, 0, 1)


class TestGroups:
    def test_alerts_of_a_group_are_one_message_with_the_worst_first(self):
        found = dispatch(alert("a"), alert("b", severity="critical"), alert("c", rule="Other"))
        assert drain(found) == [[("firing", "b"), ("firing", "a")], [("firing", "c")]]

    def test_the_first_waits_for_the_others(self):
        found = dispatch(alert("a"), group_wait_ms=5000)
        assert found.due(NOW + 4999) is None
        found.take(alert("b"), 9, NOW + 4000)
        assert drain(found, NOW + 5000) == [[("firing", "a"), ("firing", "b")]]

    def test_over_the_rate_limit_messages_wait_and_grow_together(self):
        found = dispatch(per_hour=2)
        for n in range(6):
            found.take(alert(f"e{n}"), n, NOW + n)
            drain(found, NOW + n)
        assert found.sent_total == 2
        assert drain(found, NOW + 3_600_001) == [[("firing", f"e{n}") for n in range(2, 6)]]


class TestSilences:
    SILENCE = Silence({"service": ("a*",)}, NOW, NOW + 1000, "works")

    def test_a_silenced_alert_is_told_when_the_silence_ends(self):
        found = dispatch(alert(), alert("b"), silences=[self.SILENCE])
        assert drain(found) == [[("firing", "b")]]
        assert drain(found, NOW + 999) == []
        assert drain(found, NOW + 1000) == [[("firing", "a")]]

    def test_one_that_ends_before_is_never_told(self):
        found = dispatch(alert(), silences=[self.SILENCE])
        found.take(alert(state="resolved", at=5), 9, NOW)
        assert drain(found, NOW + 5000) == []

    def test_the_end_of_one_that_was_told_is_told(self):
        found = dispatch(alert())
        drain(found)
        found.policy.silences = [self.SILENCE]
        found.take(alert(state="resolved", at=5), 9, NOW)
        assert drain(found) == [[("resolved", "a")]]


class TestFailures:
    def test_it_is_tried_again_twice_as_late_each_time_and_given_up_in_the_end(self):
        found, now, waits = dispatch(alert()), NOW, []
        for tries in range(1, MAX_TRIES + 1):
            message = found.due(now)
            assert found.failed(message, now) == (tries == MAX_TRIES)
            waits.append(pause_ms(tries))
            if tries < MAX_TRIES:
                assert found.due(now + waits[-1] - 1) is None
            now += waits[-1]
        assert waits[:4] == [1000, 2000, 4000, 8000]
        assert max(waits) <= 300_000
        assert found.given_up_total == 1
        assert found.due(now + 10**9) is None

    def test_a_failing_group_holds_back_no_other_and_holds_the_commit(self):
        found = dispatch(alert("a"), alert("b", rule="Other"))
        message = found.due(NOW)
        found.failed(message, NOW)
        assert drain(found) == [[("firing", "b")]]
        assert found.settled(10**9) == next(iter(found._alerts.values())).offset


@pytest.mark.parametrize("seed", range(20))
def test_in_any_order_and_whatever_fails_everyone_is_told_the_truth_once(seed):
    """A random life of alerts: what a channel heard of each is firing (and resolved, if it heard of it), once."""
    rng, found, now, heard = random.Random(seed), dispatch(), NOW, []
    records = [
        record for n in range(15) for record in
        (alert(f"e{n}", since=n), alert(f"e{n}", since=n, state="resolved", at=60_000))[: rng.choice((1, 2))]
    ]  # fmt: skip
    for offset, record in enumerate(records + rng.sample(records, 5)):
        found.take(record, offset, now)
        now += rng.randrange(2000)
        message = found.due(now)
        if message and rng.random() < 0.6:
            found.sent(message, now)
            heard += [(a.entity, a.state) for a in message.alerts]
        elif message:
            found.failed(message, now)
    for message in iter(lambda: found.due(now + 10**7), None):
        found.sent(message, now)
        heard += [(a.entity, a.state) for a in message.alerts]
    assert len(heard) == len(set(heard))
    final = {record.entity: record.state for record in records}
    for entity, state in final.items():
        said = [s for e, s in heard if e == entity]
        assert said in ([["firing"]] if state == "firing" else [["firing", "resolved"], []])


def test_the_text_for_people():
    title, body, worst = text([alert("a", severity="critical"), alert("b", state="resolved")])
    assert (title, worst) == ("[CRITICAL] R (1)", "critical")
    assert "critical: a is ill" in body
    assert "what to do: https://runbook" in body
    assert "resolved (recovered): b is ill" in body
    assert text([alert("a", state="resolved")])[0] == "[RESOLVED] R a"


def test_a_name_out_of_a_log_is_one_line_of_text():
    """A line break forges a line of the mail or a header of it, an override turns the text around."""
    title, body, _ = text([alert("a\r\nBcc: evil@x.org\x00\u2028critical: \u202eall")])
    assert title == "[WARNING] R a  Bcc: evil@x.org  critical:  all"
    assert [line[:12] for line in body.splitlines()] == ["warning: a  ", "    ml a  Bc", "    what to "]


def test_a_message_of_thousands_names_some_and_counts_the_others():
    title, body, _ = text([alert(f"e{n}") for n in range(10_000)])
    assert title == "[WARNING] R (10000)"
    assert body.splitlines()[-1] == "and 9950 more"
    assert len(body) < 20_000


def test_what_is_under_way_may_have_been_forgotten(monkeypatch):
    """Of very many alerts those that are over are forgotten, also while a message about one is under way."""
    monkeypatch.setattr("stream_monitor.notify.dispatch.MAX_REMEMBERED", 0)
    found = dispatch(alert())
    message = found.due(NOW)
    found.take(alert(state="resolved", at=5), 9, NOW)
    assert found.settled(10) == 10
    found.sent(message, NOW)
    assert found.sent_total == 1


def test_alertmanagers_form():
    fires, ends = alertmanager_alert(alert(), NOW), alertmanager_alert(alert(state="resolved"), NOW + 10**6)
    assert fires["labels"] == ends["labels"] == {
        "alertname": "R", "kind": "ml", "service": "a", "severity": "warning",
    }  # fmt: skip
    assert fires["startsAt"] == ends["startsAt"] == wire.iso(NOW)
    assert fires["endsAt"] > wire.iso(NOW)
    assert ends["endsAt"] == wire.iso(NOW + 60_000)
