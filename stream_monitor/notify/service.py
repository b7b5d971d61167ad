"""The notifier: reads the alerts topic, tells every channel, commits what all of them know.

A channel works in a thread of its own: one that hangs delays no other. After a restart the topic is read from its
beginning: what lies before the committed offset was dealt with, and is only remembered. So an alert is told once;
a kill between a message and its commit may tell it twice, as no mail server takes part in our commit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from stream_monitor import clients, rules, topics, wire
from stream_monitor.notify.channel import Channel, channels
from stream_monitor.notify.dispatch import Dispatch, Message, Policy
from stream_monitor.rules import RuleSet
from stream_monitor.settings import Settings
from stream_monitor.wire import AlertRecord

log = logging.getLogger("stream_monitor.notify")

FAILING = "NotifierFailing"
_FAILING_TRIES = 3
"""So many failures in a row are an alert."""
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
            self._under_way = (message, self._thread.submit(self.channel.send, message.alerts))

    def _take_outcome(self, message: Message, error: BaseException | None, now_ms: int) -> None:
        if error is None:
            self.dispatch.sent(message, now_ms)
            self.failures = 0
            log.info("%s: %d alerts told", self.channel.name, len(message.alerts))
            return
        if not self.failures:
            self.failing_since_ms = now_ms
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
        self._told_until: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._committed_at_ms = 0
        self._failing: dict[str, int] = {}
        """By channel: since when its alert fires."""
        self._consumer.subscribe([self._topic], on_assign=self._assigned)

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        for place in consumer.committed(places, timeout=30):
            self._told_until[place.partition] = max(0, place.offset)
        consumer.assign([TopicPartition(p.topic, p.partition, OFFSET_BEGINNING) for p in places])

    def step(self) -> None:
        """Read what there is, let every channel work, commit."""
        for message in self._consumer.consume(500, timeout=_POLL_S):
            if message.error() is None:
                self._take(message)
        now_ms = _now_ms()
        for teller in self.tellers:
            teller.work(now_ms)
            self._judge(teller, now_ms)
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
        for teller in self.tellers:
            teller.take(record, offset, _now_ms(), told=offset < self._told_until.get(partition, 0))

    def _judge(self, teller: Teller, now_ms: int) -> None:
        """A channel that fails is an alert itself."""
        name = teller.channel.name
        if teller.failures >= _FAILING_TRIES and name not in self._failing:
            self._failing[name] = teller.failing_since_ms
            self._publish(name, "firing", teller.failing_since_ms, now_ms, teller.failures)
        elif not teller.failures and name in self._failing:
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
        """What every channel was told."""
        self._committed_at_ms = _now_ms()
        for partition, end in self._ends.items():
            settled = min((teller.settled(end) for teller in self.tellers), default=end)
            if settled > max(self._committed.get(partition, 0), self._told_until.get(partition, 0)):
                place = TopicPartition(self._topic, partition, settled)
                self._consumer.commit(offsets=[place], asynchronous=False)
                self._committed[partition] = settled

    def close(self) -> None:
        """Let the messages under way end, commit, leave the group."""
        for teller in self.tellers:
            teller.close()
        self.commit()
        self._producer.flush(10)
        self._consumer.close()


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
    return clients.consumer(
        settings,
        **{"group.id": f"{settings.prefix}.notify", "enable.auto.commit": False, "auto.offset.reset": "earliest"},
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def run(settings: Settings, stopped: Callable[[], bool]) -> int:
    """Notify until stopped. Raises MonitorError for what a user can cause."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
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
