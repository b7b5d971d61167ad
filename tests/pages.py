"""Reads the blocks of a page, and runs the page in a shell of its own.

What a block is follows from its fence:

    console     `$ ` lines are run, in order, in one shell for the page; one that ends in ` &` stays. Lines below
                a command are what it prints: `…` stands for anything in a line, alone in a line for any lines.
    python      is run by the same shell's python
    diff        is applied
    json yaml toml ini   are parsed; what claims to be rules, or a metrics record, is validated
    java sql    are run where a test knows how
    sh          Kafka's own scripts, which tests/secure.py reads and does
    text        is a picture
    any, with title="FILE"    is written to that file, and not run

A comment `<!-- not run: why -->` above a fence takes the block out; the tests count those.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 400.0
"""Of one command; a machine that is shared may stand still for minutes."""
LANGUAGES = ("console", "sh", "python", "diff", "json", "yaml", "toml", "ini", "java", "sql", "text", "mermaid")
READS = ("stream-monitor report", "stream-monitor dlq", "curl ")
"""Commands that may be asked again until they show what the page shows: a worker needs a moment."""

_FENCE = re.compile(r"^( *)```(\w*)(?: +title=\"([^\"]+)\")? *$")
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    title: str | None = None
    not_run: str | None = None
    """Why it can't be."""

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """All pages but the templates, which are forms."""
    found = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if "templates" not in page.parts]


def blocks(page: Path) -> list[Block]:
    """The page's blocks, in order."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    opened: tuple[int, re.Match[str]] | None = None
    for number, line in enumerate(lines, 1):
        match = _FENCE.match(line)
        if opened is None and match:
            opened = number, match
        elif opened is not None and line.strip() == "```":
            start, fence = opened
            indent = len(fence[1])
            text = "\n".join(each[indent:] for each in lines[start : number - 1]) + "\n"
            above = next((each for each in reversed(lines[: start - 1]) if each.strip()), "")
            why = _NOT_RUN.search(above)
            found.append(Block(page, start, fence[2], text, fence[3], why[1] if why else None))
            opened = None
    assert opened is None, f"{page}: a fence is not closed"
    return found


def commands(text: str) -> list[tuple[str, list[str]]]:
    """A console block's commands, each with what it prints. A `\\` at a line's end goes on on the next line."""
    found: list[tuple[str, list[str]]] = []
    goes_on = False
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif goes_on:
            found[-1] = (found[-1][0] + "\n" + line, [])
        elif found:
            found[-1][1].append(line)
        goes_on = line.endswith("\\")
    return found


def shows(printed: str, wanted: list[str]) -> bool:
    """The lines that are wanted are printed, one after another; a lone `…` stands for any lines."""
    pattern = ""
    for line in wanted:
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(part.rstrip()) for part in line.split("…")) + r"[ \t]*\n"
    return re.search("^" + pattern, printed.rstrip() + "\n", re.MULTILINE) is not None


def apply_diff(text: str, folder: Path) -> None:
    """Put a diff's hunk in its file, where its context stands exactly once."""
    lines = text.splitlines()
    name = next(line[6:] for line in lines if line.startswith("+++ b/"))
    hunk = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    before = "\n".join(line[1:] for line in hunk if line[:1] in " -")
    after = "\n".join(line[1:] for line in hunk if line[:1] in " +")
    path = folder / name
    whole = path.read_text(encoding="utf-8")
    assert whole.count(before) == 1, f"{name}: the context of the diff stands there {whole.count(before)} times"
    path.write_text(whole.replace(before, after), encoding="utf-8")


class Shell:
    """One bash for a page: what a command exports or starts is there for the next one."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._log = folder.parent / f"{folder.name}.out"
        self._log.touch()
        self._read = 0
        with self._log.open("ab") as output:
            self._bash = subprocess.Popen(
                ["bash", "--noprofile", "--norc"],
                stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=folder,
                env={**os.environ, **environment}, start_new_session=True, text=True,
            )  # fmt: skip

    def run(self, command: str) -> tuple[int, str]:
        """Its exit code, and what it printed."""
        mark = f"end-{uuid.uuid4().hex}"
        assert self._bash.stdin is not None
        self._bash.stdin.write(f"{command}\necho {mark} $?\n")
        self._bash.stdin.flush()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            new = self._log.read_bytes()[self._read :].decode(errors="replace")
            if (match := re.search(rf"{mark} (\d+)\n", new)) is not None:
                self._read += len(new[: match.end()].encode())
                return int(match[1]), new[: match.start()]
            ended = self._bash.poll()
            assert ended is None, f"the shell ended with {ended} in: {command}\n{new}"
            assert time.monotonic() < deadline, f"not done within {PATIENCE_S:g} s: {command}\n{new}"
            time.sleep(0.05)

    def close(self) -> None:
        """End it and all that it started; nobody needs what they would still save."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.wait()


class Run:
    """Runs a page's blocks in a folder. `names`: what the page calls it → what the test has, such as a broker."""

    def __init__(self, folder: Path, environment: dict[str, str], names: dict[str, str] | None = None) -> None:
        self.folder, self._names = folder, names or {}
        self.shell = Shell(folder, environment)
        self._scripts = 0

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.shell.close()

    def block(self, block: Block) -> None:
        """Do what it says; fails with where and why."""
        if block.not_run is not None:
            return
        text = block.text
        for name, here in self._names.items():
            text = text.replace(name, here)
        if block.title is not None:
            path = Path(self.shell.run("pwd")[1].strip().splitlines()[-1]) / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif block.language == "diff":
            apply_diff(text, self.folder)
        elif block.language == "console":
            for command, wanted in commands(text):
                self._command(command, wanted, block.where)
        elif block.language == "python":
            self._scripts += 1
            script = self.folder.parent / f"{self.folder.name}-{self._scripts}.py"
            script.write_text(text, encoding="utf-8")
            code, printed = self.shell.run(f"python {script}")
            assert code == 0, f"{block.where}: exit code {code}\n{printed}"

    def _command(self, command: str, wanted: list[str], where: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            code, printed = self.shell.run(command)
            fits = not wanted or shows(printed, wanted)
            may_wait = command.startswith(READS) and time.monotonic() < deadline
            if (fits and code == 0) or not may_wait:
                break
            time.sleep(0.5)
        assert fits, f"{where}: $ {command}\nprinted:\n{printed}\nand the page shows:\n" + "\n".join(wanted)
        assert code == 0, f"{where}: $ {command}\nexit code {code}\n{printed}"
