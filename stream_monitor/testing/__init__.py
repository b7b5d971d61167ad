"""Tests of a pipeline's logs: brokers, replayed topics, expected metrics, and the worker without a broker.

plugin     what pytest loads by itself (an entry point); it imports the rest when a test asks for it
brokers    an Apache Kafka for tests: named, in Docker, or from its jars
"""
