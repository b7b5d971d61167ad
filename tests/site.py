"""`python -m tests.site`: brings together what the site is made of, the pages and the files that they lead to.

MkDocs wants all of it in one folder, README.md to be called index.md, and a list of the pages.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import yaml

from tests.pages import ROOT, pages

SOURCE = ROOT / ".cache" / "site-source"
CONFIG = ROOT / ".cache" / "mkdocs.yml"
SECTIONS = {
    "tutorials": "Tutorials",
    "how-to": "How to",
    "reference": "Reference",
    "explanation": "Explanation",
    "decisions": "Decisions",
}
_LINK = re.compile(r"(\]\()([^)#:]+)((?:#[^)]*)?\))")


def main() -> None:
    """Write the folder and the configuration anew."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shown = {*pages(), ROOT / "CHANGELOG.md"}
    for page in shown:
        text = page.read_text(encoding="utf-8")
        for _, link, _ in _LINK.findall(text):
            target = (page.parent / link).resolve()
            if target.is_file() and target not in shown:
                to = _place(target)
                shutil.copyfile(target, to)
        _place(page).write_text(_LINK.sub(lambda match, page=page: _link(match, page), text), encoding="utf-8")
    (SOURCE / "README.md").rename(SOURCE / "index.md")
    config = {"INHERIT": "../mkdocs.yml", "nav": navigation(list(shown))}
    CONFIG.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def navigation(shown: list[Path]) -> list[object]:
    """The pages by section, and in a section by title."""
    nav: list[object] = [{"Overview": "index.md"}, {"Quickstart": "docs/quickstart.md"}]
    for folder, title in SECTIONS.items():
        mine = [page for page in shown if page.parent == ROOT / "docs" / folder]
        nav.append({title: [{t: str(page.relative_to(ROOT))} for t, page in sorted((_title(p), p) for p in mine)]})
    nav.append({"For contributors": [{"Rooms and invariants": "ARCHITECTURE.md"}, {"Changelog": "CHANGELOG.md"}]})
    return nav


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def _place(path: Path) -> Path:
    to = SOURCE / path.relative_to(ROOT)
    to.parent.mkdir(parents=True, exist_ok=True)
    return to


def _link(match: re.Match[str], page: Path) -> str:
    if (page.parent / match[2]).resolve() == ROOT / "README.md":
        return match[1] + match[2].removesuffix("README.md") + "index.md" + match[3]
    return match[0]


if __name__ == "__main__":
    main()
