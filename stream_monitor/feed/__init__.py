"""The metrics and alerts topics → what every view draws. Reads Kafka by timestamp; keeps nothing of its own.

history   a range, read once, for the report
once      a range as a view, complete, for whoever draws it
live      a Feed: a range and what comes, in a thread
fixed     a Feed of records that are there already, for tests
raw       the log records behind an exemplar
"""

from stream_monitor.feed.fixed import FixedFeed
from stream_monitor.feed.history import read_history
from stream_monitor.feed.live import Feed, LiveFeed
from stream_monitor.feed.once import Once, read_once
from stream_monitor.feed.raw import Excerpt, RawRecord, read_around
from stream_monitor.feed.state import FeedState, Phase

__all__ = [
    "Excerpt",
    "Feed",
    "FeedState",
    "FixedFeed",
    "LiveFeed",
    "Once",
    "Phase",
    "RawRecord",
    "read_around",
    "read_history",
    "read_once",
]
