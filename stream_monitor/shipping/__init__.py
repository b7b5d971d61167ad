"""The producers' side: how components get their logs into Kafka. It lives in other people's processes.

    from stream_monitor import shipping
    shipping.configure("ml", log_dir="/var/log/app", broker="kafka-1:9092")

What lives here: formatter, handler, configurations, adapters, and the file tailer `ship`. What must not: the
worker, pydantic, numpy, Faust. confluent-kafka is imported when the first KafkaHandler is made.
"""

from __future__ import annotations

from stream_monitor.shipping.configuration import configure
from stream_monitor.shipping.context import bind, context
from stream_monitor.shipping.file import LogFile
from stream_monitor.shipping.formatter import JsonFormatter
from stream_monitor.shipping.handler import KafkaHandler
from stream_monitor.shipping.redaction import Redaction

__all__ = ["JsonFormatter", "KafkaHandler", "LogFile", "Redaction", "bind", "configure", "context"]
