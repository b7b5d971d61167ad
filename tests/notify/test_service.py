"""The notifier on a broker: a real mail server and a real HTTP server hear of alerts, once."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from aiosmtpd.controller import Controller

from stream_monitor import clients, rules, wire
from stream_monitor.broker import free_port
from stream_monitor.errors import UsageError
from stream_monitor.notify import service
from stream_monitor.notify.channel import AlertmanagerChannel, AppriseChannel, NotifyError, channels
from stream_monitor.settings import Settings
from tests.notify.test_dispatch import alert
from tests.workers import everything


class Mailbox:
    """Takes every mail."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"


@contextmanager
def mail_server():
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield box, f"mailto://127.0.0.1:{controller.port}?from=monitor@example.org&to=ops@example.org"
    finally:
        controller.stop()


@contextmanager
def http_server(fail=0):
    """Answers 500 so many times, then 200."""
    bodies, left = [], [fail]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            failing = left[0] > 0
            left[0] -= 1
            self.send_response(500 if failing else 200)
            self.end_headers()
            if not failing:
                bodies.append((self.path, json.loads(body)))

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield bodies, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def publish(settings, *records):
    producer = clients.producer(settings)
    for record in records:
        producer.produce(settings.topic("alerts"), wire.alert_out(record), record.key, 0)
    producer.flush(10)


def work_until(notifier, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not what():
        notifier.step()
        assert time.monotonic() < deadline


def notifier(settings):
    return service.Notifier(settings, rules.load(None), channels(settings))


class TestOnABroker:
    def test_a_mail_when_it_fires_and_when_it_ends_also_after_a_restart(self, embedded, make_settings):
        with mail_server() as (box, url):
            settings = make_settings(embedded, notify_urls=url, notify_group_wait=0)
            publish(settings, alert("a", severity="critical"))
            first = notifier(settings)
            work_until(first, lambda: len(box.mails) == 1)
            first.close()
            publish(settings, alert("a", state="resolved", at=5), alert("b"), alert("b", state="resolved", at=5))
            second = notifier(settings)
            work_until(second, lambda: len(box.mails) == 2)
            second.close()
        assert [mail["Subject"] for mail in box.mails] == ["[CRITICAL] R a", "[RESOLVED] R a"]
        assert "a is ill" in str(box.mails[0])

    def test_a_channel_that_fails_is_an_alert_for_the_others_and_delays_nobody(self, embedded, make_settings):
        with mail_server() as (box, url), http_server(fail=3) as (bodies, address):
            settings = make_settings(embedded, notify_urls=url, alertmanager_url=address, notify_group_wait=0)
            publish(settings, alert("a"))
            both = notifier(settings)
            work_until(both, lambda: len(box.mails) == 3 and bodies)
            both.close()
            subjects = [mail["Subject"] for mail in box.mails]
            assert subjects == ["[WARNING] R a", "[CRITICAL] NotifierFailing alertmanager",
                                "[RESOLVED] NotifierFailing alertmanager"]  # fmt: skip
            path, (sent,) = bodies[0]
            assert (path, sent["labels"]["alertname"]) == ("/api/v2/alerts", "R")
            for _, value in everything(settings, "alerts"):
                assert wire.alert_in(value).kind in ("ml", "monitor")

    def test_foreign_bytes_in_the_topic_stop_nothing(self, embedded, make_settings):
        with mail_server() as (box, url):
            settings = make_settings(embedded, notify_urls=url, notify_group_wait=0)
            producer = clients.producer(settings)
            for value in (None, b"", b"{}", b"\xff", b'{"v":9}'):
                producer.produce(settings.topic("alerts"), value, b"k", 0)
            producer.flush(10)
            publish(settings, alert("a"))
            one = notifier(settings)
            work_until(one, lambda: len(box.mails) == 1)
            one.close()


def test_a_test_message_says_who_took_it(tmp_path):
    with mail_server() as (box, url), http_server(fail=1) as (_, address):
        said = []
        settings = Settings(notify_urls=url, alertmanager_url=address)
        assert service.test(settings, said.append) == 1
        assert len(box.mails) == 1
        assert said[0] == "mailto-1: sent"
        assert said[1].startswith("alertmanager: failed: alertmanager: HTTP 500")


class TestWhatAUserCanCause:
    def test_nobody_to_tell(self):
        with pytest.raises(UsageError, match="STREAM_MONITOR_NOTIFY_URLS"):
            channels(Settings())

    def test_a_url_that_is_none_and_no_secret_in_the_message(self):
        with pytest.raises(UsageError) as error:
            AppriseChannel("nosuch://user:hunter2@host", 1)
        assert "hunter2" not in str(error.value)
        assert "nosuch-1" in str(error.value)
        with pytest.raises(UsageError, match="http://host:port"):
            AlertmanagerChannel("host:9093")

    def test_an_alertmanager_that_is_away(self):
        with pytest.raises(NotifyError, match=r"alertmanager: .*refused"):
            AlertmanagerChannel(f"http://127.0.0.1:{free_port()}").send([alert()])
