"""/login: the token against a cookie, for the page. A wrong one costs time, and soon everybody's."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from stream_monitor.web.files import static
from stream_monitor.web.guard import COOKIE, same, session_of
from stream_monitor.web.problem import ProblemError

MOST_BODY = 4_096
MOST_WRONG = 10
"""A minute, by anybody."""
_WAIT_S = 0.5
_WRONG = b'<p id="wrong" class="wrong" role="alert">That is not the token.</p>'
_DAY_S = 86_400

login = APIRouter(include_in_schema=False)


@login.get("/login")
def ask(request: Request) -> Response:
    """A form."""
    found = static("login.html")
    assert found is not None
    if request.app.state.options.token is None:
        return RedirectResponse("/", 303)
    wrong = _WRONG if "wrong" in request.query_params else b""
    return Response(found.body.replace(b"{{wrong}}", wrong), media_type="text/html; charset=utf-8")


@login.post("/login")
async def check(request: Request) -> Response:
    """A cookie and the page, or the form again."""
    state, token = request.app.state, request.app.state.options.token
    if token is None:
        return RedirectResponse("/", 303)
    now = time.monotonic()
    wrong = state.wrong = [at for at in getattr(state, "wrong", []) if now - at < 60]
    if len(wrong) >= MOST_WRONG:
        raise ProblemError(429, "too many wrong tokens; again in a minute", {"Retry-After": "60"})
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProblemError(415, "a token's form is sent as it is, not compressed", {"Accept-Encoding": "identity"})
    query = request.url.query.removeprefix("wrong").removeprefix("&")
    given = parse_qs(await _body(request)).get("token", [""])[0]
    if not same(given, token):
        wrong.append(now)
        await asyncio.sleep(_WAIT_S)
        return RedirectResponse(f"/login?wrong&{query}" if query else "/login?wrong", 303)
    response = RedirectResponse(f"/?{query}" if query else "/", 303)
    response.set_cookie(
        COOKIE, session_of(token), max_age=30 * _DAY_S, httponly=True, samesite="strict",
        secure=state.options.https or request.url.scheme == "https",
    )  # fmt: skip
    return response


async def _body(request: Request) -> str:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY:
            raise ProblemError(413, f"a token's form is at most {MOST_BODY} bytes")
    return body.decode("utf-8", "replace")
