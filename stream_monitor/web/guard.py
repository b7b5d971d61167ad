"""What every request passes: whose host it names, who asks, and the headers of every answer.

host    an IP address, localhost, this machine's name, or one that the settings allow: a page of another name that
        a DNS server points here (rebinding) gets nothing
who     with a token: `Authorization: Bearer …`, or the cookie that /login gives; both compared in constant time
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream_monitor.web.problem import problem

COOKIE = "stream_monitor"
OPEN = ("/healthz", "/readyz", "/login", "/static/style.css", "/static/icon.svg")
"""What needs no token: it says nothing about the pipeline."""

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]@/\s]+))(?::[0-9]{1,5})?")
_ENDLESS = "/api/v1/stream"
_EMPTY_SHA256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
CSP = "; ".join((
    "default-src 'none'",
    "script-src 'self'",
    f"style-src 'self' 'sha256-{_EMPTY_SHA256}'",  # the empty element that plotly.js fills by insertRule
    "img-src 'self' data:",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
))  # fmt: skip
_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def is_loopback(host: str) -> bool:
    """Only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Pure ASGI: a stream passes it piece by piece."""

    def __init__(self, app: ASGIApp, token: str | None = None, hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._token = token
        self._hosts = {"localhost", socket.gethostname().lower(), *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refuse(scope)
        if scope["method"] == "HEAD" and scope["path"] != _ENDLESS:
            scope = {**scope, "method": "GET"}  # what is said is the same; the server leaves the body out
        await (refusal or self._app)(scope, receive, with_headers)

    def _refuse(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self.knows(host):
            detail = f"this server is not called {host[:120]!r}; allow the name with --allow-host"
            return problem(421, detail)
        path: str = scope["path"]
        if self._token is None or path in OPEN or self._is_known(headers):
            return None
        if path == "/":
            query = scope.get("query_string", b"").decode("ascii", "replace")
            return RedirectResponse(f"/login?{query}" if query else "/login", 303)
        return problem(401, "a token is needed: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"})

    def knows(self, host: str) -> bool:
        """`host[:port]` is one of ours."""
        found = _HOST.fullmatch(host)
        name = (found[1] or found[2]) if found else ""
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.lower().rstrip(".") in self._hosts
        return True

    def _is_known(self, headers: Headers) -> bool:
        assert self._token is not None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and same(given.strip(), self._token):
            return True
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return morsel is not None and same(morsel.value, session_of(self._token))


def same(given: str, right: str) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())


def session_of(token: str) -> str:
    """What the cookie holds: it can be checked with the token, and does not tell it."""
    return hmac.new(token.encode(), b"stream-monitor web session 1", hashlib.sha256).hexdigest()
