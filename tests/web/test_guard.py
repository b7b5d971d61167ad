"""Who may ask, by which name, and what every answer says to a browser."""

from __future__ import annotations

import gzip

import pytest
from starlette.testclient import TestClient

from stream_monitor.cli import run as command
from stream_monitor.errors import UsageError
from stream_monitor.settings import Settings
from stream_monitor.web import check_access
from stream_monitor.web.app import Options, create
from stream_monitor.web.guard import COOKIE, is_loopback, session_of
from stream_monitor.web.login import MOST_WRONG
from tests.tui import data
from tests.web.serving import TOKEN, client

ASK = "/api/v1/alerts"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("stream_monitor.web.login._WAIT_S", 0.0)


def test_every_answer_says_what_a_browser_may_do():
    with client() as ask:
        for path in ("/", ASK, "/nothing", "/static/style.css", "/healthz"):
            headers = ask.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "script-src 'self';" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert "server" not in headers
            assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost:8080", 200),
        ("[::1]:8080", 200),
        ("10.1.2.3", 200),
        ("Monitor.Example.org:443", 200),
        ("evil.example.com", 421),
        ("127.0.0.1.evil.com:8080", 421),
        ("localhost.evil.com", 421),
        ("", 421),
        ("[::1", 421),
        ("[::1]evil", 421),
        ("127.0.0.1:8080@evil.com", 421),
        ("localhost:80:80", 421),
        ("localhost.", 200),
    ],
)
def test_a_name_that_is_not_ours_gets_nothing(host, status):
    """DNS rebinding: a page under another name that resolves to this machine."""
    with client(hosts=("monitor.example.org",)) as ask:
        answer = ask.get(ASK, headers={"Host": host})
        assert answer.status_code == status
        if status == 421:
            assert "--allow-host" in answer.json()["detail"]


def test_with_a_token_only_who_knows_it_is_answered():
    with client(token=TOKEN) as ask:
        answer = ask.get(ASK)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        for wrong in (f"Bearer {TOKEN}x", "Bearer ", TOKEN, f"Basic {TOKEN}", "Bearer Ünïcode"):
            assert ask.get(ASK, headers={"Authorization": wrong.encode()}).status_code == 401
        assert ask.get(ASK, headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200
        for path in ("/metrics", "/api/v1/openapi.json", "/api/v1/stream", "/static/app.js"):
            assert ask.get(path).status_code == 401
        for path in ("/healthz", "/readyz", "/login", "/static/style.css"):
            assert ask.get(path).status_code == 200


def test_the_page_asks_for_the_token_and_keeps_a_cookie_that_does_not_tell_it():
    with client(token=TOKEN) as ask:
        answer = ask.get("/?from=now-6h", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?from=now-6h")
        assert 'type="password"' in ask.get("/login").text
        wrong = ask.post("/login", data={"token": "nonsense"}, follow_redirects=False)
        assert wrong.headers["location"] == "/login?wrong"
        assert "That is not the token" in ask.get("/login?wrong").text
        assert "That is not the token" not in ask.get("/login").text
        wrong = ask.post("/login?wrong&from=now-6h", data={"token": "nonsense"}, follow_redirects=False)
        assert wrong.headers["location"] == "/login?wrong&from=now-6h"
        assert COOKIE not in ask.cookies
        right = ask.post("/login?from=now-6h", data={"token": TOKEN}, follow_redirects=False)
        assert (right.status_code, right.headers["location"]) == (303, "/?from=now-6h")
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert ask.get("/").status_code == 200
        assert ask.get(ASK).status_code == 200
        ask.cookies.clear()
        for forged in ("x", session_of("another token"), TOKEN):
            assert ask.get(ASK, headers={"Cookie": f"{COOKIE}={forged}"}).status_code == 401


@pytest.mark.parametrize(
    ("options", "scheme", "is_secure"),
    [({}, "http", False), ({}, "https", True), ({"https": True}, "http", True)],
)
def test_the_cookie_goes_by_https_alone_where_it_came_so(options, scheme, is_secure):
    app, _ = create(data.feed(), Options(token=TOKEN, **options))
    with TestClient(app, base_url=f"{scheme}://127.0.0.1") as ask:
        headers = {"X-Forwarded-Proto": "https"}
        answer = ask.post("/login", data={"token": TOKEN}, headers=headers, follow_redirects=False)
        assert ("Secure" in answer.headers["set-cookie"]) == is_secure


def test_guessing_comes_to_an_end():
    with client(token=TOKEN) as ask:
        for _ in range(MOST_WRONG):
            assert ask.post("/login", data={"token": "guess"}, follow_redirects=False).status_code == 303
        assert ask.post("/login", data={"token": TOKEN}, follow_redirects=False).status_code == 429
        assert ask.post("/login", content=b"token=" + b"x" * 10_000).status_code in (413, 429)


def test_a_form_that_is_compressed_is_no_wrong_token():
    with client(token=TOKEN) as ask:
        body = gzip.compress(f"token={TOKEN}".encode())
        answer = ask.post("/login", content=body, headers={"Content-Encoding": "gzip"}, follow_redirects=False)
        assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
        assert "not compressed" in answer.json()["detail"]


def test_login_leads_nowhere_else():
    with client(token=TOKEN) as ask:
        for query in ("//evil.com", "next=//evil.com", "%0d%0aX-Bad: 1"):
            answer = ask.post(f"/login?{query}", data={"token": TOKEN}, follow_redirects=False)
            assert answer.headers["location"].startswith("/?")
            assert "x-bad" not in answer.headers


def test_beyond_this_machine_it_needs_a_token_or_somebody_who_says_so():
    check_access(Settings())
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.org"):
        with pytest.raises(UsageError, match="STREAM_MONITOR_WEB_TOKEN"):
            check_access(Settings(web_host=host))
        check_access(Settings(web_host=host, web_token=TOKEN))
        check_access(Settings(web_host=host, web_insecure=True))
    assert is_loopback("127.0.0.53")
    assert is_loopback("::1")
    assert not is_loopback("::ffff:10.0.0.1")


def test_wrong_use_is_one_line(capsys, monkeypatch):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert command(["web", "--port", port]) == 1
        error = capsys.readouterr().err
        assert f"cannot listen on 127.0.0.1:{port}" in error
        assert "--port" in error
        assert len(error.splitlines()) == 1
    assert command(["web", "--host", "0.0.0.0"]) == 2
    assert "--insecure" in capsys.readouterr().err
    monkeypatch.setenv("STREAM_MONITOR_WEB_TOKEN", "short")
    assert command(["web"]) == 2
    error = capsys.readouterr().err
    assert "STREAM_MONITOR_WEB_TOKEN" in error
    assert "short'" not in error
