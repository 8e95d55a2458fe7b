"""The pictures of the README: the page of a real decode in headless Chromium.

    wse-emu models fetch smollm2 && python -m benchmarks.readme_pictures

needs Chromium and Playwright (extra `dev`) and writes docs/pictures/*.png.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.chromium import browser

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
DECODE = ["decode", "--model", "smollm2", "--mapping", "pipeline", "--chat", "--prompt", "Why is the sky blue?"]


def main() -> None:
    """Decode, open the page, take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browser() as running:
        command = [sys.executable, "-c", "from wse_emu.cli import main; main()", *DECODE, "--out", folder]
        subprocess.run(command, check=True)
        page = running.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light")
        page.goto((Path(folder) / "report.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        take(page, "wafer", "wse.setMetric('busy')", "#figures", "#wafer")
        page.emulate_media(color_scheme="dark")
        close = "wse.fit({x: 440, y: 58, width: 8, height: 8}, wse.maps[0]); wse.choose(444, 62)"
        take(page, "links", close, "#wafer")
        page.emulate_media(color_scheme="light")
        take(page, "token", "wse.fitUsed(wse.maps[0]); wse.setCycle(87_000)", "#maps", "#token")


def take(page: "Page", name: str, script: str, *parts: str) -> None:
    """Run a line on the page, and take a picture of the rectangle around some of its parts."""
    page.evaluate(script)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(400)
    boxes = [box for part in parts if (box := page.locator(part).bounding_box())]
    left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes)
    right = max(box["x"] + box["width"] for box in boxes)
    bottom = max(box["y"] + box["height"] for box in boxes)
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path, full_page=True, clip=clip)  # type: ignore[arg-type]
    print(f"{path.relative_to(PICTURES.parent.parent)}  {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
