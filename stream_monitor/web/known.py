"""Only what a route knows may be asked of it: a parameter that nobody reads is a mistake, and is called one."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError

from stream_monitor.near import suggestion

_MOST = 10
_NAME_MOST = 60


async def known_parameters(request: Request) -> None:
    """Raises RequestValidationError (422) where a parameter is unknown, or is given twice and means one thing."""
    parameters, given = _parameters(request), [name for name, _ in request.query_params.multi_items()]
    wrong = [_unknown(name, parameters) for name in dict.fromkeys(given) if name not in parameters]
    several = [name for name, takes_many in parameters.items() if not takes_many and given.count(name) > 1]
    wrong += [_error(name, "it is given more than once") for name in several]
    if wrong:
        raise RequestValidationError(wrong[:_MOST])


def _parameters(request: Request) -> dict[str, bool]:
    """By name: may there be several? As the route's own description has them."""
    path = request.url.path
    route: str = request.scope["route"].path_format
    paths: dict[str, Any] = request.app.openapi()["paths"]
    described = paths[route if route in paths else path]["get"].get("parameters", ())
    return {each["name"]: _is_list(each["schema"]) for each in described if each["in"] == "query"}


def _is_list(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "array" or any(_is_list(each) for each in schema.get("anyOf", ()))


def _unknown(name: str, parameters: dict[str, bool]) -> dict[str, Any]:
    near = suggestion(name[:_NAME_MOST].lower(), parameters, str)
    others = f"; there are {', '.join(parameters) or 'none'}"
    return _error(name, f"there is no such parameter{near or others}")


def _error(name: str, what: str) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": ("query", name[:_NAME_MOST]), "msg": what}
