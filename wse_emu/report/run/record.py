"""The two files that every command with ``--out`` leaves: ``run.json`` before the work, ``report.json`` behind it."""

import hashlib
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from wse_emu import __version__
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.report.folder import write_json

SCHEMA = 1
"""Of run.json, report.json and state.json. A file with a higher number is refused by :func:`load_run`."""
RUN, REPORT = "run.json", "report.json"
RESULTS = (
    REPORT,
    "state.json",
    "steps.parquet",
    "links.npz",
    "wavelets.npz",
    "trace.json.gz",
    "traffic.png",
    "busy.png",
    "report.html",
)
"""What a run writes beside run.json; those of an earlier run make room for a new one."""
PACKAGES = ("numpy", "scipy", "networkx", "jax", "pyarrow")
"""Whose versions may matter to what a run computes or writes."""

Facts = dict[str, Any]


def run_facts(
    command: str,
    options: Mapping[str, Any],
    *,
    seed: int | None = None,
    model: Facts | None = None,
    mapping: Facts | None = None,
    wafer: WaferSpec | None = None,
    levels: Mapping[str, str] | None = None,
) -> Facts:
    """What run.json says of a run of ``wse-emu COMMAND``; ``levels``: how each group of figures is obtained."""
    return {
        "schema": SCHEMA,
        "command": command,
        "arguments": sys.argv[1:],
        "options": plain(options),
        "seed": seed,
        "versions": {"wse_emu": __version__, "python": platform.python_version(), **_versions()},
        "platform": f"{platform.system()} {platform.machine()}",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": model,
        "mapping": mapping,
        "wafer": None if wafer is None else wafer_facts(wafer),
        "levels": dict(levels or {}),
    }


def begin_run(out: Path, facts: Facts) -> None:
    """Write run.json, and only then take away what an earlier run left: a full disk leaves that one whole."""
    write_json(out / RUN, facts)
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)


def finish_run(out: Path, report: Facts) -> None:
    """Write report.json, last of all files, so that a folder that has one is complete."""
    write_json(out / REPORT, report)


def record_run(out: Path | None, facts: Facts, report: Facts) -> None:
    """Both files of a command that has nothing to resume; nothing without a folder."""
    if out is not None:
        begin_run(out, facts)
        finish_run(out, {"schema": SCHEMA, "command": facts["command"], **plain(report)})


def wafer_facts(spec: WaferSpec) -> Facts:
    """The wafer by name, and the sha256 of all its numbers."""
    return {
        "name": spec.name,
        "columns": spec.columns,
        "rows": spec.rows,
        "clock_hz": spec.clock_hz,
        "sha256": text_sha256(repr(spec)),
    }


def text_sha256(text: str) -> str:
    """Hexadecimal sha256 of ``text`` as UTF-8."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def plain(value: Any) -> Any:
    """``value`` as JSON has it: paths as text, tuples as lists, dataclasses as objects."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [plain(held) for held in value]
    return str(value) if isinstance(value, Path) else value


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
