"""What we lean on in Faust and aiokafka beyond their public interface. An upgrade that changes it fails here."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer import fetcher
from faust.app.base import App
from faust.stores.rocksdb import Store
from faust.tables import recovery
from faust.tables.base import Collection
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer
from faust.transport.drivers import aiokafka

from stream_monitor.worker import store, transport


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_the_version_is_the_one_that_was_read():
    assert version("faust-streaming").startswith("0.15.")


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (consumer.Consumer._commit_offsets, ["self", "offsets", "start_new_transaction"]),
        (consumer.Consumer._new_offset, ["self", "tp"]),
        (consumer.Consumer._filter_tps_with_pending_acks, ["self", "topics"]),
        (consumer.Consumer._wait_next_records, ["self", "timeout"]),
        (consumer.Consumer._add_gap, ["self", "tp", "offset_from", "offset_to"]),
        (consumer.Consumer.perform_seek, ["self"]),
        (consumer.Consumer.ack, ["self", "message"]),
        (Store._open_for_partition, ["self", "partition"]),
        (Store._db_for_partition, ["self", "partition"]),
        (Store.partition_path, ["self", "partition"]),
        (Store.apply_changelog_batch, ["self", "batch", "to_key", "to_value"]),
        (Collection._new_store_by_url, ["self", "url"]),
        (fetcher.Fetcher._proc_fetch_request, ["self", "assignment", "node_id", "request"]),
        (fetcher.FetchResult.getall, ["self", "max_records"]),
        (fetcher.FetchResult.check_assignment, ["self", "tp"]),
        (fetcher.FetchResult.has_more, ["self"]),
        (fetcher.FetchResult._update_position, ["self"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_what_we_override_or_call_is_there(function, wanted):
    assert parameters(function) == wanted


def test_ours_override_theirs():
    for ours in (
        transport.BatchConsumer,
        store.Store,
        transport.PacedFetcher,
        transport.LeanRecords,
        transport.LeanResult,
    ):
        for name, member in vars(ours).items():
            if name.startswith("_") and not name.startswith("__") and callable(member):
                theirs = any(name in vars(base) for base in ours.__mro__[1:])
                assert theirs or name in OURS, f"{ours.__name__}.{name} overrides nothing"


OURS = {
    "_put_back", "_messages", "_batch_message", "_seek_to", "_seek_again", "_put_aside", "_apply",
    "_open_batch",
}  # fmt: skip
"""Private and new."""


def test_state_that_we_read_is_where_it_was():
    assert aiokafka.Transport.Consumer is aiokafka.Consumer
    assert "self.active_tps = set()" in inspect.getsource(Recovery.__init__)
    assert "self.actives_ready = False" in inspect.getsource(TableManager.__init__)
    assert "consumer_generation_id" in inspect.getsource(aiokafka)
    assert "rebalancing" in inspect.getsource(App)
    assert "self._consumer = self._new_consumer()" in inspect.getsource(App.consumer.fget)
    assert "self._conns = {}" in inspect.getsource(AIOKafkaClient.__init__)
    assert parameters(AIOKafkaConnection.connected) == ["self"]
    assert {"fetch_min_bytes", "fetch_max_wait_ms"} <= set(parameters(fetcher.Fetcher.__init__))
    assert "self._fetcher = Fetcher(" in inspect.getsource(AIOKafkaConsumer.start)
    assert "return needs_wakeup" in inspect.getsource(fetcher.Fetcher._proc_fetch_request)
    assert "PartitionRecords(" in inspect.getsource(fetcher.Fetcher)
    assert "FetchResult(" in inspect.getsource(fetcher.Fetcher)
    assert "recovery_buffer_size == 1" in inspect.getsource(Recovery)  # else 1 is as good as 2: worker/app.py
    assert Store.offset_key == b"__faust\0offset__"


def test_a_refused_commit_is_still_taken_for_done_by_faust():
    """When this fails, BatchConsumer._commit_offsets may go."""
    source = inspect.getsource(consumer.Consumer._commit_offsets)
    assert source.index("if did_commit:") < source.index("self._committed_offset.update(committable_offsets)")
    assert "        self._committed_offset.update(committable_offsets)" in source


def test_what_goes_wrong_in_recovery_is_still_only_logged_by_faust():
    """When this fails, Store.apply_changelog_batch need not call `fail`."""
    assert 'logger.warning(f"Error in recovery {ex}")' in inspect.getsource(recovery)
