"""docs/images/web-*.png: the page over fixed data in light, dark and on a phone. `python -m tests.web.pictures`"""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.web.serving import served

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
SIZES = {"light": (1200, 740, "light"), "dark": (1200, 740, "dark"), "phone": (390, 800, "light")}


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with served() as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (width, height, scheme) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(address)
            page.wait_for_selector(".chart .main-svg")
            page.evaluate("dispatchEvent(new Event('beforeprint'))")
            page.wait_for_selector(".chart[data-name=drift] .main-svg")
            page.screenshot(path=IMAGES / f"web-{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
