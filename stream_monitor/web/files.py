"""The page, its modules and plotly.js: read once, served from memory, with tags so that nothing is sent twice."""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from stream_monitor.web.problem import ProblemError

HERE = Path(__file__).parent / "static"
_MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)
_YEAR = "public, max-age=31536000, immutable"
_LAZY, _END = b', () => {\n"use strict"', b"}));"
_STYLE_ID = re.compile(r'getElementById\("([0-9a-f]{64})"\)\)\{var (\w+)=document\.createElement\("style"\)')

files = APIRouter(include_in_schema=False)


class File(NamedTuple):
    """A body, also zipped, and what it is called by its content."""

    body: bytes
    zipped: bytes
    tag: str
    media: str


def _file(body: bytes, media: str) -> File:
    return File(body, gzip.compress(body, 6, mtime=0), hashlib.blake2b(body, digest_size=12).hexdigest(), media)


@cache
def plotly() -> File:
    """plotly.js, out of the plotly wheel, which is not imported for it."""
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    body = (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_bytes()
    return _file(eager(body), "text/javascript")


def eager(body: bytes) -> bytes:
    """plotly.js with its one big function in brackets, by which a browser knows that it is called at once.

    Chromium then compiles it while it loads, in the background; else it reads all of it twice, the second time
    while the page waits: a third of the start. Another plotly.js than we know stays as it is.
    """
    text = body.rstrip()
    if text.count(_LAZY) != 1 or not text.endswith(_END):
        return body
    return text.replace(_LAZY, b', (function() {\n"use strict"').removesuffix(_END) + b"})));"


_NAMES = frozenset(path.name for path in HERE.iterdir() if path.suffix in _MEDIA)


def static(name: str) -> File | None:
    """A file of the page; None where there is none: of names that somebody has made up nothing is kept."""
    return _static(name) if name in _NAMES else None


@cache
def _static(name: str) -> File:
    """In the page itself the names that depend on plotly are put in.

    plotly.js puts a style element for its maps into every page, which a strict CSP forbids, unless an element of a
    certain id is there: one is.
    """
    body = (HERE / name).read_bytes()
    if name == "index.html":
        found = _STYLE_ID.search(plotly().body.decode())
        body = body.replace(b"{{plotly}}", plotly().tag.encode())
        body = body.replace(b"{{style}}", (found[1] if found else "no-such-style").encode())
    return _file(body, _MEDIA[Path(name).suffix])


def _send(request: Request, found: File, cache_control: str) -> Response:
    tag = f'"{found.tag}"'
    headers = {"ETag": tag, "Cache-Control": cache_control, "Vary": "Accept-Encoding"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = found.body
    if _GZIP.search(request.headers.get("accept-encoding", "")):
        body, headers["Content-Encoding"] = found.zipped, "gzip"
    return Response(body, media_type=f"{found.media}; charset=utf-8", headers=headers)


@files.get("/")
async def index(request: Request) -> Response:
    """The page."""
    found = static("index.html")
    assert found is not None
    return _send(request, found, "no-cache")


@files.get("/static/plotly-{tag}.js")
async def plotly_js(request: Request, tag: str) -> Response:
    """By its content, so that a browser keeps it."""
    if tag != plotly().tag:
        raise ProblemError(404, "no such file")
    return _send(request, plotly(), _YEAR)


@files.get("/static/{name}")
async def page_file(request: Request, name: str) -> Response:
    """A module, a style, the icon."""
    found = None if name.endswith(".html") else static(name)
    if found is None:
        raise ProblemError(404, "no such file")
    return _send(request, found, "no-cache")
