"""The notifier: reads the alerts topic, tells every channel, commits what all of them know.

A channel works in a thread of its own: one that hangs delays no other. After a restart the topic is read from its
beginning: what lies before the committed offset was dealt with, and is only remembered. So an alert is told once;
a kill between a message and its commit may tell it twice, as no mail server takes part in our commit.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from stream_monitor import clients, rules, topics, wire
from stream_monitor.notify.channel import Channel, channels
from stream_monitor.notify.dispatch import Dispatch, Message, Policy
from stream_monitor.plural import counted
from stream_monitor.rules import RuleSet
from stream_monitor.settings import Settings
from stream_monitor.terminal import log_to_stderr
from stream_monitor.wire import AlertRecord

log = logging.getLogger("stream_monitor.notify")

FAILING = "NotifierFailing"
_FAILING_TRIES = 3
"""So many failures in a row are an alert."""
_HANGS_MS = 120_000
"""A message that is under way for so long is a failure, too, although it may still come through."""
_METADATA_MAX = 4000
"""Kafka takes 4096 bytes."""
_POLL_S = 0.2
_COMMIT_MS = 2000
_STOP_S = 20.0


class Teller:
    """One channel with what it knows, its thread, and the message under way."""

    def __init__(self, channel: Channel, policy: Policy) -> None:
        self.channel = channel
        self.dispatch = Dispatch(policy)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=channel.name)
        self._under_way: tuple[Message, Future[None]] | None = None
        self.failures = 0
        """In a row."""
        self.failing_since_ms = 0
        self._begun_ms = 0

    @property
    def trouble_since_ms(self) -> int:
        """When what goes wrong now began."""
        return self.failing_since_ms if self.failures else self._begun_ms

    def trouble(self, now_ms: int) -> int:
        """Failures in a row; a channel that hangs has as many as make an alert."""
        hangs = self._under_way is not None and now_ms - self._begun_ms >= _HANGS_MS
        return max(self.failures, _FAILING_TRIES) if hangs else self.failures

    def take(self, record: AlertRecord, offset: int, now_ms: int, *, told: bool) -> None:
        """A record of the topic; a channel is not told of its own failing."""
        if record.rule != FAILING or record.labels.get("notifier") != self.channel.name:
            self.dispatch.take(record, offset, now_ms, told=told)

    def work(self, now_ms: int) -> None:
        """Take the outcome of the message under way, begin the next that is due."""
        if self._under_way is not None:
            message, future = self._under_way
            if not future.done():
                return
            self._under_way = None
            self._take_outcome(message, future.exception(), now_ms)
        message = self.dispatch.due(now_ms)  # type: ignore[assignment]
        if message is not None:
            self._begun_ms = now_ms
            self._under_way = (message, self._thread.submit(self.channel.send, message.alerts))

    def _take_outcome(self, message: Message, error: BaseException | None, now_ms: int) -> None:
        if error is None:
            self.dispatch.sent(message, now_ms)
            self.failures = 0
            log.info("%s: %s told", self.channel.name, counted(len(message.alerts), "alert"))
            return
        if not self.failures:
            self.failing_since_ms = self._begun_ms
        self.failures += 1
        given_up = self.dispatch.failed(message, now_ms)
        log.warning("%s%s", error, "; given up" if given_up else "; it is tried again")

    def settled(self, end_offset: int) -> int:
        """Everything before this offset is told, and nothing of it under way."""
        return self.dispatch.settled(end_offset)

    def close(self) -> None:
        """Wait for the message under way, not for ever."""
        if self._under_way is not None:
            try:
                self._under_way[1].result(_STOP_S)
            except Exception as error:  # noqa: BLE001  (it will be told after the next start)
                log.warning("%s: %s", self.channel.name, error)
            else:
                self.dispatch.sent(self._under_way[0], _now_ms())
        self._thread.shutdown(wait=False, cancel_futures=True)


class Notifier:
    """All channels, fed by one consumer."""

    def __init__(self, settings: Settings, ruleset: RuleSet, found: Sequence[Channel]) -> None:
        self._settings = settings
        self.tellers = [Teller(channel, _policy(settings, ruleset, channel)) for channel in found]
        self._topic = settings.topic("alerts")
        self._consumer = _consumer(settings)
        self._producer = clients.producer(settings)
        self._told_until: dict[tuple[int, str], int] = {}
        """By partition and channel: what a former process has dealt with."""
        self._ends: dict[int, int] = {}
        self._committed: dict[int, dict[str, int]] = {}
        self._committed_at_ms = 0
        self._failing: dict[str, int] = {}
        """By channel: since when its alert fires."""
        self._began_ms = _now_ms()
        self._complaints: set[str] = set()
        self._consumer.subscribe([self._topic], on_assign=self._assigned)

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        for place in consumer.committed(places, timeout=30):
            upto = _channels_in(place.metadata)
            for teller in self.tellers:
                told = upto.get(teller.channel.name, place.offset)
                self._told_until[place.partition, teller.channel.name] = max(0, told)
        consumer.assign([TopicPartition(p.topic, p.partition, OFFSET_BEGINNING) for p in places])

    def step(self) -> None:
        """Read what there is, let every channel work, commit."""
        for message in self._consumer.consume(500, timeout=_POLL_S):
            error = message.error()
            if error is None:
                self._take(message)
            elif error.str() not in self._complaints:
                self._complaints.add(error.str())
                log.warning("cannot read %s: %s", self._topic, error.str())
        now_ms = _now_ms()
        for teller in self.tellers:
            teller.work(now_ms)
            self._judge(teller, now_ms)
        for name in self._failing.keys() - {teller.channel.name for teller in self.tellers}:
            self._publish(name, "resolved", self._failing.pop(name), now_ms, 0)  # nobody is told there any more
        if now_ms - self._committed_at_ms >= _COMMIT_MS:
            self.commit()
        self._producer.poll(0)

    def _take(self, message: Any) -> None:
        partition, offset = message.partition(), message.offset()
        self._ends[partition] = offset + 1
        try:
            record = wire.alert_in(message.value())
        except wire.WireError as error:
            log.warning("%s offset %d is left out: %s", self._topic, offset, error)
            return
        self._inherit(record)
        for teller in self.tellers:
            told = offset < self._told_until.get((partition, teller.channel.name), 0)
            teller.take(record, offset, _now_ms(), told=told)

    def _inherit(self, record: AlertRecord) -> None:
        """What an earlier process said of a channel is this one's to take back, once it takes a message."""
        if record.rule == FAILING and record.at_ms < self._began_ms:
            if record.is_firing:
                self._failing[record.entity] = record.since_ms
            else:
                self._failing.pop(record.entity, None)

    def _judge(self, teller: Teller, now_ms: int) -> None:
        """A channel that fails is an alert itself."""
        name, trouble = teller.channel.name, teller.trouble(now_ms)
        if trouble >= _FAILING_TRIES and name not in self._failing:
            self._failing[name] = teller.trouble_since_ms
            self._publish(name, "firing", self._failing[name], now_ms, trouble)
        elif not trouble and name in self._failing and teller.dispatch.sent_total:
            self._publish(name, "resolved", self._failing.pop(name), now_ms, 0)

    def _publish(self, name: str, state: str, since_ms: int, now_ms: int, failures: int) -> None:
        record = AlertRecord(
            rule=FAILING, kind="monitor", labels={"notifier": name}, entity=name, state=state, severity="critical",
            since=wire.iso(since_ms), at=wire.iso(now_ms), value=float(failures),
            summary=f"alerts do not reach {name}: {failures} tries failed" if failures else f"alerts reach {name}",
            reason="" if state == "firing" else "recovered",
        )  # fmt: skip
        self._producer.produce(self._topic, wire.alert_out(record), record.key, 0)

    def commit(self) -> None:
        """What every channel was told: the least of them is the group's offset, and beside it stands each one's,
        so that after a restart nobody is told twice because of one that fails.
        """
        self._committed_at_ms = _now_ms()
        for partition, end in self._ends.items():
            upto = {
                teller.channel.name: max(
                    teller.settled(end), self._told_until.get((partition, teller.channel.name), 0)
                )
                for teller in self.tellers
            }
            if upto == self._committed.get(partition):
                continue
            metadata = json.dumps(upto)[:_METADATA_MAX]
            place = TopicPartition(self._topic, partition, min(upto.values()), metadata)
            try:
                self._consumer.commit(offsets=[place], asynchronous=False)
            except KafkaException as error:  # the broker is away, or the partition: the next time may be better
                log.warning("cannot commit: %s", clients.reason(error))
                return
            self._committed[partition] = upto

    def close(self) -> None:
        """Let the messages under way end, commit, leave the group."""
        for teller in self.tellers:
            teller.close()
        self.commit()
        self._producer.flush(10)
        self._consumer.close()


def _channels_in(metadata: str | None) -> dict[str, int]:
    """What stands beside a committed offset; empty where it is not ours."""
    try:
        found = json.loads(metadata or "{}")
    except ValueError:
        return {}
    return {name: upto for name, upto in found.items() if isinstance(upto, int)} if isinstance(found, dict) else {}


def _policy(settings: Settings, ruleset: RuleSet, channel: Channel) -> Policy:
    return Policy(
        min_severity=settings.notify_severity,
        group_by=ruleset.group_by,
        group_wait_ms=round(settings.notify_group_wait * 1000),
        repeat_ms=channel.repeat_ms,
        per_hour=settings.notify_per_hour if not channel.repeat_ms else 1_000_000,
        silences=ruleset.silences,
    )


def _consumer(settings: Settings) -> Consumer:
    return clients.consumer(settings, **{"group.id": f"{settings.prefix}.notify"})


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def run(settings: Settings, stopped: Callable[[], bool]) -> int:
    """Notify until stopped. Raises MonitorError for what a user can cause."""
    log_to_stderr()
    ruleset, found = rules.load(settings.alert_rules), channels(settings)
    clients.ensure_broker(settings, stopped)
    topics.check(settings, ("alerts",))
    notifier = Notifier(settings, ruleset, found)
    log.info("telling %s", ", ".join(channel.name for channel in found))
    try:
        while not stopped():
            notifier.step()
    finally:
        notifier.close()
    return 0


def test(settings: Settings, say: Callable[[str], None]) -> int:
    """Send one message to every channel; returns 1 where one did not take it."""
    now = wire.iso(_now_ms())
    record = AlertRecord(
        rule="Test", kind="monitor", labels={"notifier": "test"}, entity="test", state="firing", severity="info",
        since=now, at=now, value=None, summary="a test of stream-monitor's notifications; nothing is wrong",
    )  # fmt: skip
    failed = 0
    for channel in channels(settings):
        try:
            channel.send([record])
            say(f"{channel.name}: sent")
        except Exception as error:  # noqa: BLE001  (each channel says for itself)
            failed += 1
            say(f"{channel.name}: failed: {error}")
    return 1 if failed else 0
