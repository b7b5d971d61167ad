"""Secrets inside a text: what stands behind a name, in URLs, and in well-known shapes.

Every pattern reads a text once: what it repeats is bounded, or begins with something that it cannot contain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

REDACTED = "[redacted]"

_NOT_AGAIN = rf"""(?!{re.escape(REDACTED)}|(?:true|false|none|null)(?![^\s,;&)}}\]"']))"""
_QUOTED = r"""\\"(?:(?!\\").)*(?:\\")?|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?"""
"""With a closing quote, or cut off; or in escaped quotes."""
_WORD = r"""(?:[^\s,;&)}\]"'<>\\]|\\(?!["']))+"""
_SIGN = r"(?:=>|:=|[=:])"
_IS = rf"""\\?["']?\s*{_SIGN}\s*(?:b(?=["']))?"""
"""`=`, `: `, `" => "`, `': b'`."""
_SCHEME = r"(?:(?:bearer|basic|digest|token|negotiate|apikey)\s+)?"
_HEADERS = ("authorization", "cookie")
"""Their values are made of several words."""
_COUNT = re.compile(r"\d+(?:\.\d+)?")


class Pairs:
    """Names and what stands behind them."""

    def __init__(self, names: Iterable[str]) -> None:
        every = [_spaced(name) for name in names]
        plain = "|".join(every)
        numbered = rf"(?:{plain})(?P<plural>s?)(?:[_\-]?\d{{1,4}})?"
        simple = "|".join(word for word in every if word not in _HEADERS)
        pair = rf"(?:{simple})(?P<plural>s?)(?:[_\-]?\d{{1,4}})?"
        quote = r"""\\?["']"""
        listed = rf"""[\[(,]\s*[\[(]\s*b?{quote}[^"'\\]{{0,80}}?{numbered}{quote}\s*,\s*b?"""
        option = rf"""(?<![\w.\-])--[\w.\-]{{0,60}}?{numbered}(?:\s+(?!-)|{quote}\s*,\s*(?={quote}))"""
        named = rf"""{pair}{quote}?\s*,\s*{quote}?val(?:ue)?s?{_IS}"""
        patterns = (
            rf"(?P<keep>authorization{_IS}){_NOT_AGAIN}(?P<value>{_authorization()})",
            rf"(?P<keep>cookie2?{_IS}){_NOT_AGAIN}(?P<value>{_cookies()})",
            rf"(?P<keep>{listed}){_NOT_AGAIN}(?P<value>{_QUOTED})",
            rf"(?P<keep>{option}){_NOT_AGAIN}(?P<value>{_QUOTED}|{_WORD})",
            rf"(?P<keep>{named}){_NOT_AGAIN}(?P<value>{_QUOTED}|{_WORD})",
            rf"(?P<keep>{pair}{_IS}){_NOT_AGAIN}{_SCHEME}(?P<value>{_QUOTED}|{_WORD})",
        )
        self._patterns = [re.compile(pattern, re.IGNORECASE) for pattern in patterns]

    def clean(self, text: str) -> str:
        """Without what stands behind the names. A plural with a number says how many there are."""
        for pattern in self._patterns:
            text = pattern.sub(_hidden, text)
        return text


def _spaced(name: str) -> str:
    return r"[_\-. ]?".join(map(re.escape, re.split(r"[_\-. ]", name)))


def _authorization() -> str:
    """A scheme, a word, and the `name=value` that follow behind commas."""
    named = r"""[\w\-]{1,40}=(?:"[^"]*"?|[^\s,"']*)"""
    return rf"""{_QUOTED}|(?:[a-z][\w\-]{{0,40}}\s+)?(?:{named}|{_WORD})(?:,\s*{named})*"""


def _cookies() -> str:
    """All of them: behind every `;` there is another."""
    cookie = r"""(?:[^\s,;"'\\]|\\(?!["']))+"""
    return rf"""{_QUOTED}|{cookie}(?:;\s*{cookie})*"""


def _hidden(match: re.Match[str]) -> str:
    groups = match.groupdict()
    if groups.get("plural") and _COUNT.fullmatch(groups["value"].strip("\"'")):
        return match[0]
    return match["keep"] + REDACTED


def _kept(match: re.Match[str]) -> str:
    return match["keep"] + REDACTED


def _url(match: re.Match[str]) -> str:
    """All URLs of a word, such as those of several hosts, behind commas."""
    first, *rest = match[0].split("://")
    return "://".join((first, *map(_credentials, rest)))


def _credentials(rest: str) -> str:
    """What stands behind `://` without a password, which may hold `@` and `/`, or a token in the user's place."""
    end = re.search(r"[?#]", rest)
    upto = rest.rfind("@", 0, end.start() if end else len(rest))
    if upto < 0 and end:
        upto = rest.rfind("@")
    if upto < 0:
        return rest
    before, host = rest[:upto], rest[upto:]
    user, colon, password = before.partition(":")
    if "/" in user or (colon and re.match(r"\d{1,5}(?:[/?#]|$)", password) and not _is_account(before)):
        return rest  # a path with an @ in it, behind a host or a host and its port
    if _is_token(user) or (user and colon and password in ("", "x-oauth-basic")):
        user = REDACTED
    return f"{user}{colon}{REDACTED if password else ''}{host}"


def _is_account(before: str) -> bool:
    """A user and a password of digits; not a host, a port and a path."""
    return not re.search(r"[/?#]", before)


def _is_token(user: str) -> bool:
    """In the user's place of a URL: long, and of more than letters."""
    return bool(re.fullmatch(r"(?=[^\d]*\d)[\w.~+=\-]{20,}", user))


SHAPES: tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    ("://", re.compile(r"""[a-z0-9]://(?:[^\s"'<>\\]|\\(?!["']))+""", re.IGNORECASE), _url),
    ("bearer", re.compile(r"(?P<keep>\bbearer\s+)[\w.~+/=-]{6,}", re.IGNORECASE), _kept),
    ("eyj", re.compile(r"(?P<keep>)(?<![\w-])eyJ[\w-]{8,8192}\.[\w-]{8,8192}\.[\w-]*"), _kept),
    (
        "privatekey",
        re.compile(r"(?P<keep>-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----).*?(?=-----END|\Z)", re.DOTALL),
        _kept,
    ),
)
"""(what lower-case text without `_-. ` must contain, the shape, what is written for it): a password in a URL, a
bearer token, a JSON web token, a private key.
"""
