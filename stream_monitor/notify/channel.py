"""Where alerts go: one message out, or a NotifyError that says why not; never a secret in it."""

from __future__ import annotations

import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from stream_monitor import wire
from stream_monitor.errors import MonitorError, UsageError
from stream_monitor.notify.dispatch import text
from stream_monitor.settings import Settings
from stream_monitor.wire import AlertRecord

_TIMEOUT_S = 15.0
ALERTMANAGER_REPEAT_MS = 60_000
_ALIVE_MS = 5 * ALERTMANAGER_REPEAT_MS
"""Alertmanager takes an alert for resolved that is not repeated for so long."""


class NotifyError(MonitorError):
    """A channel did not take a message."""


class Channel(ABC):
    """One destination."""

    name: str
    repeat_ms = 0

    @abstractmethod
    def send(self, alerts: Sequence[AlertRecord]) -> None:
        """Send one message; returns when it was taken. Raises NotifyError."""


class AppriseChannel(Channel):
    """One Apprise URL: mail, Slack, Teams, PagerDuty, a web hook …"""

    def __init__(self, url: str, number: int) -> None:
        self.name = f"{urlsplit(url).scheme or 'apprise'}-{number}"
        apprise = _apprise()
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its messages may hold the URL
        self._apprise = apprise.Apprise()
        if not self._apprise.add(url):
            raise UsageError(
                f"setting notify_urls (STREAM_MONITOR_NOTIFY_URLS): address {number} ({self.name}) is none that "
                "Apprise understands; its wiki lists the forms: github.com/caronc/apprise/wiki"
            )

    def send(self, alerts: Sequence[AlertRecord]) -> None:
        title, body, worst = text(alerts)
        kinds = {"resolved": "success", "info": "info", "warning": "warning", "critical": "failure"}
        try:
            # as text: a name in it that is HTML, of a mail for instance, is shown and not taken
            taken = self._apprise.notify(title=title, body=body, notify_type=kinds[worst], body_format="text")
        except Exception as error:  # noqa: BLE001  (whatever a plugin raises)
            raise NotifyError(f"{self.name}: {type(error).__name__}") from None
        if not taken:
            raise NotifyError(f"{self.name}: it did not take the message")


class AlertmanagerChannel(Channel):
    """Alertmanager's API v2. Firing alerts are repeated, as Prometheus does; grouping is its own business."""

    repeat_ms = ALERTMANAGER_REPEAT_MS

    def __init__(self, url: str) -> None:
        self.name = "alertmanager"
        self._url = f"{_checked(url)}/api/v2/alerts"

    def send(self, alerts: Sequence[AlertRecord]) -> None:
        body = orjson.dumps([alertmanager_alert(alert, time.time_ns() // 1_000_000) for alert in alerts])
        request = urllib.request.Request(  # noqa: S310  (http or https: checked above)
            self._url, body, {"Content-Type": "application/json", "User-Agent": "stream-monitor"}
        )
        try:
            with _opener.open(request, timeout=_TIMEOUT_S) as answer:
                answer.read(1)
        except urllib.error.HTTPError as error:
            where = error.headers.get("Location")
            said = (
                f"it names {where[:200]!r}; set that address"
                if where
                else error.read(300).decode(errors="replace")
            )
            raise NotifyError(f"{self.name}: HTTP {error.code}: {' '.join(said.split())}") from None
        except (OSError, http.client.HTTPException) as error:
            what = getattr(error, "reason", None) or error
            raise NotifyError(f"{self.name}: {' '.join(str(what).split()) or type(error).__name__}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Followed, a redirection becomes a GET, which any page takes: the alerts would count as told."""

    def redirect_request(self, *_: Any) -> None:
        """None: it is an error."""


_opener = urllib.request.build_opener(_NoRedirect)


def _checked(url: str) -> str:
    """An address to which a path can be added. Raises UsageError."""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        is_right = False
    if not is_right or parts.username or parts.query or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise UsageError(
            "setting alertmanager_url (STREAM_MONITOR_ALERTMANAGER_URL): http://host:port or https://host:port, "
            "with a path at most"
        )
    return url.rstrip("/")


def alertmanager_alert(alert: AlertRecord, now_ms: int) -> dict[str, Any]:
    """An alert as API v2 wants it. Labels are its identity, so nothing that changes is among them but severity."""
    labels = {**alert.rule_labels, **alert.labels, "alertname": alert.rule, "kind": alert.kind}
    ends_ms = min(alert.at_ms, now_ms) if alert.state == "resolved" else now_ms + _ALIVE_MS
    annotations = {"summary": alert.summary, "entity": alert.entity, "runbook_url": alert.runbook_url}
    if alert.value is not None:
        annotations["value"] = f"{alert.value:.6g}"
    return {
        "labels": {name: value for name, value in {**labels, "severity": alert.severity}.items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": alert.since,
        "endsAt": wire.iso(max(ends_ms, alert.since_ms + 1)),
    }


def channels(settings: Settings) -> list[Channel]:
    """What the settings name. Raises UsageError where they name nothing, or something unusable."""
    found: list[Channel] = []
    urls = settings.notify_urls.get_secret_value().split() if settings.notify_urls else []
    found += [AppriseChannel(url, number) for number, url in enumerate(urls, 1)]
    if settings.alertmanager_url:
        found.append(AlertmanagerChannel(settings.alertmanager_url))
    if not found:
        raise UsageError(
            "nobody to notify: set STREAM_MONITOR_NOTIFY_URLS (Apprise URLs, such as mailto://…) or "
            "STREAM_MONITOR_ALERTMANAGER_URL"
        )
    return found


def _apprise() -> Any:
    try:
        import apprise
    except ImportError:
        raise UsageError(
            "Apprise is not installed; install stream-monitor with: pip install '.[notify]'"
        ) from None
    return apprise
