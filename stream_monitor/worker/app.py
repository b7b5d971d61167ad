"""The Faust application: topics, tables, three agents, one clock.

    logs.* ──▶ ingest agent ──▶ partials ──▶ merge agent ──▶ metrics.1m ──▶ alert agent ──▶ alerts
                 tables state.<kind>            table state.merge             table state.alerts

What the agents do stands in ingest.py, merge.py and judge.py; here they are wired.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import faust
from confluent_kafka import KafkaException
from faust.types import TP

from stream_monitor import clients, rules, topics
from stream_monitor.core.window import MINUTE_MS
from stream_monitor.errors import MonitorError
from stream_monitor.exporters.prometheus import PipelineCollector
from stream_monitor.kinds import KINDS
from stream_monitor.settings import Settings
from stream_monitor.worker.ingest import IngestTask
from stream_monitor.worker.judge import JudgeTask
from stream_monitor.worker.merge import MergeTask
from stream_monitor.worker.outbox import Outbox
from stream_monitor.worker.owners import Owners
from stream_monitor.worker.state import PartitionState
from stream_monitor.worker.store import Restored, StateTable
from stream_monitor.worker.task import PartitionTask
from stream_monitor.worker.transport import BatchConsumer, BatchTransport, RawSchema
from stream_monitor.worker.upstream import Upstream

log = logging.getLogger(__name__)

_ASK_S = 1.0
_BATCH_RECORDS = 10_000
"""Records fetched at once, at most."""
_QUEUED_BATCHES = 2
"""Batches that may wait for an agent: what bounds memory when the worker is behind."""

_LAST_CHECKPOINT_S = 10.0


class TopicChangedError(MonitorError):
    """A topic is not what it was when the worker started."""


class LastCheckpointError(MonitorError):
    """The worker was told to stop, and could not save what it had done last."""


class MonitorApp(faust.App):
    """Faust with the batch transport, and a last checkpoint before it stops."""

    batched_topics: frozenset[str] = frozenset()
    changelogs: Mapping[str, str] = {}
    """By batched topic: the changelog of its table."""
    topic_ids: Mapping[str, str] = {}
    """By topic without prefix, as of the last look."""
    looked_generation = -1
    """The group's generation in which the topics were looked at last."""
    owners: Owners
    outbox: Outbox
    upstream: Upstream
    failure: BaseException | None = None
    pipeline: PipelineCollector
    """What the closed minutes that are judged here say, for Prometheus."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.restored = Restored()
        self.rebalances = 0
        """Assignments since the start."""
        self.ticking = asyncio.Lock()
        """Held while the clock ticks."""
        self.saved = asyncio.Event()
        """The last checkpoint is through, or there is none to make."""

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)

    def serves(self, tp: TP) -> bool:
        """The partition's table is restored, and Faust knows of nothing newer.

        The consumer's thread is ahead of Faust: it has a new assignment before Faust begins to restore its tables.
        """
        changelog = TP(self.changelogs[tp.topic], tp.partition)
        looked = self.looked_generation == self.consumer_generation_id
        ready = looked and self.tables.actives_ready and not self.rebalancing
        return ready and changelog in self.tables.recovery.active_tps

    def fail(self, error: BaseException) -> None:
        """Remember the first failure; the worker stops without committing anything more."""
        if self.failure is None:
            self.failure = error

    async def on_stop(self) -> None:
        """Let the clock end, checkpoint everything, unless something failed."""
        await self.ticking.acquire()  # and never give it back
        if self.failure is None and not self.rebalancing:
            try:
                await asyncio.wait_for(self.owners.finish(self.consumer), _LAST_CHECKPOINT_S)
            except TimeoutError:
                self.fail(
                    LastCheckpointError(
                        "Kafka did not acknowledge the last checkpoint in time; start the "
                        "worker again, it goes on at the one before"
                    )
                )
        self.saved.set()
        await super().on_stop()


def create_app(settings: Settings, partitions: Mapping[str, int]) -> MonitorApp:
    """The worker's application. `partitions` is how many each topic has, by its name without prefix."""
    app = _new_app(settings)
    sources = {settings.topic(f"logs.{name}"): KINDS[name] for name in settings.kinds}
    partials, minutes = settings.topic("partials"), settings.topic("metrics.1m")
    app.batched_topics = frozenset({*sources, partials, minutes})
    tables = {
        topic: _table(app, settings, kind.name, partitions[f"logs.{kind.name}"]) for topic, kind in sources.items()
    }
    tables[partials] = _table(app, settings, "merge", partitions["partials"])
    tables[minutes] = _table(app, settings, "alerts", partitions["metrics.1m"])
    app.changelogs = {topic: table.changelog_topic.get_topic_name() for topic, table in tables.items()}
    app.outbox = outbox = Outbox(settings)
    lateness_ms = round((settings.grace + settings.lateness) * 1000)
    app.pipeline = PipelineCollector(KINDS, correct_ms=lateness_ms + 10 * MINUTE_MS)
    app.upstream = Upstream(settings)
    judged_by = rules.load(settings.alert_rules).rules

    def make(tp: TP) -> PartitionTask:
        topic_id = app.topic_ids[tp.topic.removeprefix(settings.topic(""))]
        state = PartitionState(tables[tp.topic], tp.partition, outbox, topic_id)
        if tp.topic == partials:
            return MergeTask(tp, state, outbox, app.consumer, settings, partitions["metrics.1m"])
        if tp.topic == minutes:
            return JudgeTask(
                tp, state, outbox, app.consumer, settings, judged_by,
                app.upstream.quiet_ms, app.upstream.live, app.pipeline,
            )  # fmt: skip
        kind = sources[tp.topic]
        count = partitions[f"logs.{kind.name}"]
        return IngestTask(kind, count, tp, state, outbox, app.consumer, settings, partitions["partials"])

    app.owners = Owners(make, round(settings.idle_after * 1000), app.fail)
    _add_agents(app, [*sources], partials, minutes)
    _add_clock(app, settings)
    _look_at_topics(app, settings, partitions)
    return app


def _new_app(settings: Settings) -> MonitorApp:
    datadir = settings.datadir.absolute()
    datadir.mkdir(parents=True, exist_ok=True)
    return MonitorApp(
        settings.group_id,
        **clients.faust_options(settings),
        datadir=datadir,
        store="rocksdb://",
        Table=StateTable,
        consumer_group_instance_id=settings.group_instance_id or None,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=settings.session_timeout,
        broker_heartbeat_interval=settings.session_timeout / 5,
        broker_commit_interval=3600.0,  # checkpoints commit, no timer
        broker_commit_livelock_soft_timeout=86400.0,
        stream_processing_timeout=86400.0,
        broker_max_poll_records=_BATCH_RECORDS,
        stream_buffer_maxsize=_QUEUED_BATCHES,  # of the changelogs; the agents' topics say so themselves
        stream_wait_empty=False,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )


def _table(app: MonitorApp, settings: Settings, name: str, partitions: int) -> Any:
    changelog = app.topic(
        settings.topic(f"state.{name}"), schema=RawSchema(), partitions=partitions, acks=False, internal=True
    )
    return app.Table(
        f"state.{name}",
        partitions=partitions,
        changelog_topic=changelog,
        recovery_buffer_size=2,  # an event is a whole batch; with 1 Faust would read on after the restore
    )


def _add_agents(app: MonitorApp, sources: list[str], partials: str, minutes: str) -> None:
    async def take_all(stream: Any) -> None:
        try:
            async for event in stream.noack().events():
                if app.serves(TP(event.message.topic, event.message.partition)):
                    await app.owners.take(event.message)
        except Exception as error:  # noqa: BLE001  (whatever it is, nothing may be committed after it)
            app.fail(error)

    async def ingest(stream: Any) -> None:
        await take_all(stream)

    async def merge(stream: Any) -> None:
        await take_all(stream)

    async def judge(stream: Any) -> None:
        await take_all(stream)

    for names, agent in ((sources, ingest), ([partials], merge), ([minutes], judge)):
        channel = app.topic(*names, schema=RawSchema(), acks=False, maxsize=_QUEUED_BATCHES)
        app.agent(channel, concurrency=1)(agent)


def _add_clock(app: MonitorApp, settings: Settings) -> None:
    @app.task
    async def clock() -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + settings.flush_interval
        try:
            while not app.should_stop:
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                due_s = max(due_s, loop.time()) + settings.flush_interval
                async with app.ticking:
                    if app.failure is None:
                        await app.owners.tick(app.consumer, _owned(app))
        except Exception as error:
            app.fail(error)
            raise

    @app.task
    async def ask_for_topics() -> None:
        """The group's leader gives nobody a topic that it does not know, and would ask again in five minutes."""
        told: list[str] = []
        while not app.should_stop:
            await asyncio.sleep(_ASK_S)
            unknown = app.consumer.unknown(app.batched_topics) if app.looked_generation >= 0 else []
            if unknown != told:
                log.warning(
                    "the broker has told of %s", ", ".join(f"no {name} yet" for name in unknown) or "all topics"
                )
                told = unknown
            if unknown:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_ASK_S):
                        await app.consumer.ask_again()

    @app.task
    async def look_upstream() -> None:
        while not app.should_stop:
            await asyncio.sleep(2 * settings.checkpoint_interval)
            await app.upstream.look()

    @app.on_partitions_revoked.connect(weak=False)
    async def revoked(_: Any, partitions: set[TP], **__: Any) -> None:
        app.owners.drop(partitions)
        left = await app.outbox.drain(seconds=5)
        if left:
            log.warning("%d records were not acknowledged before the partitions were given away", left)


def _look_at_topics(app: MonitorApp, settings: Settings, partitions: Mapping[str, int]) -> None:
    """At every assignment: is a topic another one than before, or has it grown?"""

    def look() -> tuple[dict[str, int], dict[str, str]]:
        return topics.partition_counts(settings), topics.ids(settings, partitions)

    @app.on_partitions_assigned.connect(weak=False)
    async def assigned(_: Any, partitions_got: set[TP], **__: Any) -> None:
        generation = app.consumer_generation_id
        log.info("partitions: %s", _by_topic(tp for tp in partitions_got if tp.topic in app.batched_topics))
        try:
            counts, app.topic_ids = await asyncio.get_running_loop().run_in_executor(None, look)
        except (MonitorError, KafkaException) as error:
            app.fail(MonitorError(f"cannot look at the topics after a rebalance: {error}"))
            return
        for name, count in partitions.items():
            if counts.get(name) != count:
                app.fail(TopicChangedError(
                    f"topic {settings.topic(name)} had {count} partitions and now has {counts.get(name, 0)}; run "
                    "stream-monitor topics apply, and start the worker again"
                ))  # fmt: skip
        app.looked_generation = generation
        app.rebalances += 1


def _owned(app: MonitorApp) -> list[TP]:
    consumer: BatchConsumer = app.consumer
    return sorted(tp for tp in consumer.assignment() if tp.topic in app.batched_topics and app.serves(tp))


def _by_topic(partitions: Iterable[TP]) -> str:
    """`logs.ml 0 1, logs.kafka 2`, for a person."""
    numbers: dict[str, list[str]] = {}
    for tp in sorted(partitions):
        numbers.setdefault(tp.topic, []).append(str(tp.partition))
    return ", ".join(f"{topic} {' '.join(its)}" for topic, its in numbers.items()) or "none, others have them all"
