"""OAuth tokens for aiokafka, by the client-credentials grant (RFC 6749, 4.4). librdkafka fetches its own."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from stream_monitor.errors import MonitorError

_REUSED = 0.8
"""Of its life; after that a new token is fetched, as librdkafka does."""
_LIFE_S = 300.0
"""Where the endpoint does not say how long a token lives."""
_ANSWER_BYTES = 1 << 20


class TokenProvider:
    """What aiokafka asks for a token (its AbstractTokenProvider): fetched once, and anew before it expires."""

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        scope: str | None = None,
        extensions: str | None = None,
        ca: Path | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        self._url, self._timeout_s, self._ca = url, timeout_s, ca
        credentials = f"{client_id}:{client_secret}".encode()  # as librdkafka says them
        self._authorization = "Basic " + base64.b64encode(credentials).decode()
        self._form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        self._extensions = dict(pair.split("=", 1) for pair in (extensions or "").split(",") if "=" in pair)
        self._token, self._fresh_until = "", 0.0

    async def token(self) -> str:
        """A token that has not expired. Raises MonitorError, without a secret, where none can be had."""
        if time.monotonic() >= self._fresh_until:
            self._token, self._fresh_until = await asyncio.to_thread(self._fetch)
        return self._token

    def extensions(self) -> dict[str, str]:
        """What is said besides the token."""
        return self._extensions

    def _fetch(self) -> tuple[str, float]:
        request = urllib.request.Request(  # noqa: S310  (clients.py lets only http and https through)
            self._url,
            data=urllib.parse.urlencode(self._form).encode(),
            headers={"Authorization": self._authorization, "Accept": "application/json"},
        )
        asked = time.monotonic()
        try:
            context = ssl.create_default_context(cafile=str(self._ca)) if self._ca else None
            with urllib.request.urlopen(request, timeout=self._timeout_s, context=context) as answer:  # noqa: S310
                said = json.loads(answer.read(_ANSWER_BYTES))
            return _text(said["access_token"]), asked + _REUSED * float(said.get("expires_in", _LIFE_S))
        except urllib.error.HTTPError as error:
            raise MonitorError(f"the token URL {self._url} refuses: HTTP {error.code} {error.reason}") from None
        except OSError as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise MonitorError(f"the token URL {self._url} does not answer: {reason}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise MonitorError(f"the token URL {self._url} answers without an access_token") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("no token")
    return value
