"""Which tasks there are, when partitions are given away in the middle of things."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from faust.types import TP

from stream_monitor.worker.owners import Owners

PARTITIONS = [TP("logs", 0), TP("logs", 1)]


class Task:
    """As much of a PartitionTask as an owner sees."""

    def __init__(self, tp: TP) -> None:
        self.tp = tp
        self.position = 1
        self.batch_at_ms = self.checkpointed_at_ms = 0
        self.flushed: list[int | None] = []

    def is_due(self, now_ms: int) -> bool:
        return False

    def end(self) -> int | None:
        return None

    def flush(self, now_ms: int, idle_at_ms: int | None) -> None:
        self.flushed.append(idle_at_ms)

    def cancel(self) -> None:
        pass


class Consumer:
    """Answers the two questions of a tick; `meanwhile` happens before the answer."""

    def __init__(self, meanwhile=lambda: None) -> None:
        self.app = SimpleNamespace(serves=lambda tp: True)
        self.delivered: dict[TP, int] = {}
        self._meanwhile = meanwhile

    def assignment(self):
        return set(PARTITIONS)

    async def highwaters(self, *tps: TP):
        await asyncio.sleep(0)
        self._meanwhile()
        return dict.fromkeys(tps, 1)

    async def position(self, tp: TP) -> int:
        return 1


def owners():
    made: list[Task] = []

    def make(tp: TP) -> Task:
        made.append(Task(tp))
        return made[-1]

    mine = Owners(make, -1000, pytest.fail)  # type: ignore[arg-type]  # silent from the start
    return mine, made


def test_a_tick_says_which_partitions_are_idle():
    mine, made = owners()
    asyncio.run(mine.tick(Consumer(), PARTITIONS))
    assert [len(task.flushed) for task in made] == [1, 1]
    assert all(task.flushed[0] is not None for task in made)


def test_a_tick_that_asks_the_broker_while_partitions_are_revoked_makes_no_task_again():
    mine, made = owners()
    asyncio.run(mine.tick(Consumer(lambda: mine.drop(PARTITIONS)), PARTITIONS))
    assert list(mine) == []
    assert [task.flushed for task in made] == [[], []]


def test_a_tick_leaves_alone_what_was_revoked_and_came_back_meanwhile():
    mine, made = owners()

    def revoked_and_assigned() -> None:
        mine.drop(PARTITIONS)
        for tp in PARTITIONS:
            mine.get(tp)

    asyncio.run(mine.tick(Consumer(revoked_and_assigned), PARTITIONS))
    assert len(made) == 4
    assert list(mine) == made[2:]
    assert [task.flushed for task in made] == [[], [], [], []]


def test_busy_partitions_do_not_wait_for_what_the_broker_says_of_silent_ones():
    seen: list[list[int]] = []
    mine, made = owners()
    tick = mine.tick(Consumer(lambda: seen.append([len(task.flushed) for task in made])), PARTITIONS)
    for tp in PARTITIONS:
        mine.get(tp)
    made[1].batch_at_ms = 1 << 60
    asyncio.run(tick)
    assert seen == [[0, 1]]
    assert [len(task.flushed) for task in made] == [1, 1]
    assert made[0].flushed[0] is not None
    assert made[1].flushed == [None]
