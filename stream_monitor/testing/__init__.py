"""Tests of a pipeline's logs: brokers, replayed topics, expected metrics, and the worker without a broker.

plugin      what pytest loads by itself (an entry point); it imports the rest when a test asks for it
driver      the pipeline without a broker, in milliseconds (stand_ins: what its tasks meet in place of Kafka)
running     a worker on a broker, for one test (worker: its process)
expecting   metrics against what is expected of them
brokers     an Apache Kafka for tests: named, in Docker, or from its jars
"""
