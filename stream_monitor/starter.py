"""`stream-monitor init`: what a project starts with. It asks nothing and overwrites nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stream_monitor import rules
from stream_monitor.data import data_dir
from stream_monitor.errors import MonitorError
from stream_monitor.shipping.configuration import CONFIGURATIONS

_RULES = "  # [the rules that ship]\n"
_NEXT = (
    "next: fill in the [brackets] of docs/, name the broker in stream-monitor.toml, stream-monitor topics apply"
)
_DOCUMENTS = ("README_TEMPLATE.md", "ARCHITECTURE_TEMPLATE.md", "CONTRIBUTION_TEMPLATE.md")


def files() -> dict[str, str]:
    """Path in the project → text."""
    templates = data_dir("docs/templates")
    found = {f"docs/{name}": _text(templates / name) for name in _DOCUMENTS}
    found |= {f"logging/{name}": _text(data_dir("logging") / name) for name in CONFIGURATIONS.values()}
    shipped = _text(rules.default_path()).partition("rules:\n")[2]
    found["alerts.yaml"] = _text(templates / "alerts.yaml").replace(_RULES, shipped)
    found["stream-monitor.toml"] = _text(templates / "stream-monitor.toml")
    return found


def write(folder: Path, say: Callable[[str], None]) -> int:
    """Write what is not there yet, and say of each file what became of it. Returns 0.

    Raises MonitorError where something cannot be written; what was written by then stays.
    """
    kept = 0
    for name, text in files().items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError as error:
            if error.filename != str(path):
                raise MonitorError(f"{error.filename}: it is a file, and a folder is needed there") from None
            say(f"kept   {name}: it is there already")
            kept += 1
        except OSError as error:
            raise MonitorError(f"cannot write {path}: {error.strerror}") from None
        else:
            say(f"wrote  {name}")
    if not kept:
        say(_NEXT)
    return 0


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
