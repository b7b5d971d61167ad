"""stream-monitor: a Kafka-native monitor for data pipelines."""

__version__ = "0.1.0"
