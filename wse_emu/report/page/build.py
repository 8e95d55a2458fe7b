"""From page.json of one run or two to one HTML file: nothing in it comes over a network."""

import base64
import json
import re
import zlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from wse_emu.errors import WseError
from wse_emu.report.folder import write_text

SOURCE = files("wse_emu.report.page")
MOST_RUNS = 2


def build(runs: Sequence[dict[str, Any]]) -> str:
    """The page of one run, or of two side by side; WseError for more."""
    if not 1 <= len(runs) <= MOST_RUNS:
        raise WseError(f"{len(runs)} runs on a page: one works, or two side by side")
    scripts = {file.name: file for file in (SOURCE / "js").iterdir() if file.name.endswith(".js")}
    parts = {
        "title": escape(" beside ".join(_title(run) for run in runs)),
        "style": _read("vendor/uPlot.min.css") + _read("page.css"),
        "runs": "\n".join(f'<script type="text/plain" class="run">{_packed(run)}</script>' for run in runs),
        "vendor": _read("vendor/uPlot.iife.min.js"),
        "script": "\n".join(scripts[name].read_text("utf-8") for name in sorted(scripts)),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda slot: parts[slot[1]], _read("template.html"))


def write_page(path: Path, runs: Sequence[dict[str, Any]]) -> None:
    """Write the page of ``runs``."""
    write_text(path, build(runs))


def _title(run: dict[str, Any]) -> str:
    report = run["report"]
    return f"{report['model']} on {report['wafer']['name']}, {report['mapping']}"


def _read(name: str) -> str:
    return SOURCE.joinpath(*name.split("/")).read_text("utf-8")


def _packed(run: dict[str, Any]) -> str:
    text = json.dumps(run, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("utf-8"), 9)).decode("ascii")
