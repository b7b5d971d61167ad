"""Alerts to people and to Alertmanager: a consumer of the alerts topic, in a process of its own.

dispatch   what is due for whom: once, grouped, not while silenced, not too often
channel    Apprise and Alertmanager: one message out, or why not
service    Kafka in, channels out, offsets committed when everybody was told

Why not in the worker: whoever talks to mail servers and web hooks waits for other people's machines, and the
worker's checkpoints must not. A notifier that fails is an alert of its own, for the other channels.
"""
