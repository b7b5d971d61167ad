"""The notifier on a broker: a real mail server and a real HTTP server hear of alerts, once."""

from __future__ import annotations

import json
import socket
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
def http_server(fail=0, code=500, headers=(), until=None):
    """Answers so many times that it failed, then 200; `until` is waited for before an answer."""
    bodies, left = [], [fail]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            failing = left[0] > 0
            left[0] -= 1
            if until is not None:
                until.wait(60)
            self.send_response(code if failing else 200)
            for name, value in headers if failing else ():
                self.send_header(name, value)
            self.end_headers()
            if not failing:
                bodies.append((self.path, json.loads(body)))

        def do_GET(self):
            """A log-in page takes everything."""
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield bodies, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def talk(server, answer):
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


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

    def test_a_channel_that_hangs_is_an_alert_for_the_others(self, embedded, make_settings, monkeypatch):
        monkeypatch.setattr(service, "_HANGS_MS", 500)
        answer = threading.Event()
        with mail_server() as (box, url), http_server(until=answer) as (bodies, address):
            settings = make_settings(embedded, notify_urls=url, alertmanager_url=address, notify_group_wait=0)
            publish(settings, alert("a"))
            both = notifier(settings)
            work_until(both, lambda: len(box.mails) == 2)
            answer.set()
            work_until(both, lambda: len(box.mails) == 3 and bodies)
            both.close()
        assert [mail["Subject"].split()[0] for mail in box.mails[1:]] == ["[CRITICAL]", "[RESOLVED]"]

    def test_the_next_process_takes_back_what_the_last_one_said_of_a_channel(self, embedded, make_settings):
        with mail_server() as (box, url), http_server(fail=3) as (bodies, address):
            settings = make_settings(embedded, notify_urls=url, alertmanager_url=address, notify_group_wait=0)
            publish(settings, alert("a"))
            first = notifier(settings)
            work_until(first, lambda: len(box.mails) == 2)
            first.tellers[1].dispatch._failed.clear()  # it would be tried again in some seconds
            first.close()
            assert not bodies
            second = notifier(settings)
            work_until(second, lambda: len(box.mails) == 3)
            second.close()
            assert box.mails[-1]["Subject"] == "[RESOLVED] NotifierFailing alertmanager"
        assert [mail["Subject"] for mail in box.mails][:2] == [
            "[WARNING] R a",
            "[CRITICAL] NotifierFailing alertmanager",
        ]

    def test_a_channel_that_is_gone_fails_no_longer(self, embedded, make_settings):
        with mail_server() as (_, url):
            settings = make_settings(embedded, notify_urls=url, notify_group_wait=0)
            failing = wire.AlertRecord(
                rule=service.FAILING, kind="monitor", labels={"notifier": "slack-9"}, entity="slack-9",
                state="firing", severity="critical", since=wire.iso(1), at=wire.iso(2), value=3.0, summary="",
            )  # fmt: skip
            publish(settings, failing)
            one = notifier(settings)
            work_until(one, lambda: len(everything(settings, "alerts")) == 2)
            one.close()
            assert not wire.alert_in(everything(settings, "alerts")[-1][1]).is_firing

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

    @pytest.mark.parametrize(
        "url",
        ["http://[::1", "http://h:99999", "http://x y", "http://h/\r\nX: y", "http://u:hunter2@h", "http://h?x=1"],
    )
    def test_an_address_that_is_none(self, url):
        with pytest.raises(UsageError) as error:
            AlertmanagerChannel(url)
        assert "hunter2" not in str(error.value)

    @pytest.mark.parametrize("code", [301, 302, 303, 307, 308, 400, 401, 404, 429, 503])
    def test_only_a_200_is_a_yes(self, code):
        """A redirection that is followed is a GET, to which any page says yes."""
        with http_server(fail=1, code=code, headers=[("Location", "/login"), ("Retry-After", "9")]) as (
            bodies,
            url,
        ):
            with pytest.raises(NotifyError, match=f"HTTP {code}.*/login"):
                AlertmanagerChannel(url).send([alert()])
            assert bodies == []

    @pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 2"])
    def test_what_is_no_http_is_said_in_one_line(self, answer):
        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=lambda: talk(server, answer))
            thread.start()
            with pytest.raises(NotifyError) as error:
                AlertmanagerChannel(f"http://127.0.0.1:{server.getsockname()[1]}").send([alert()])
            thread.join()
        assert "\n" not in str(error.value)

    def test_html_in_a_name_is_text_in_a_mail(self):
        with mail_server() as (box, url):
            AppriseChannel(f"{url}&format=html", 1).send([alert("<img src=x>")])
            AppriseChannel(url, 1).send([alert("<img src=x>")])
        for mail in box.mails:
            for part in mail.walk():
                if part.get_content_type() == "text/html":
                    assert "<img" not in part.get_payload(decode=True).decode()

    def test_an_alertmanager_that_is_away(self):
        with pytest.raises(NotifyError, match=r"alertmanager: .*refused"):
            AlertmanagerChannel(f"http://127.0.0.1:{free_port()}").send([alert()])
