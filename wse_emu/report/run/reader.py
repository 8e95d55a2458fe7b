"""What reads a run folder: typed reports, arrays, the table of steps."""

import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wse_emu.errors import WseError
from wse_emu.report.run.record import REPORT, RUN, SCHEMA
from wse_emu.report.run.schema import DecodeReport, OtherReport, RunFacts
from wse_emu.report.run.typed import read, write


@dataclass(frozen=True)
class Run:
    """A finished run: ``facts`` (run.json), ``report`` (report.json), and the tables beside them."""

    path: Path
    facts: RunFacts
    report: DecodeReport | OtherReport

    @property
    def decode(self) -> DecodeReport:
        """The report of a decode; WseError for another command's."""
        if not isinstance(self.report, DecodeReport):
            raise WseError(f"{self.path}: a run of `{self.report.command}`; one of `decode` works")
        return self.report

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """links.npz: ``links`` ``[E W N S, rows, columns]``; the others ``[rows, columns]``, all int64."""
        return load_arrays(self.path / "links.npz")

    def steps(self) -> Any:
        """steps.parquet as a pyarrow Table, one row a step and token; WseError if it is not there or broken."""
        from pyarrow import ArrowInvalid, parquet

        path = self.path / "steps.parquet"
        try:
            return parquet.read_table(path)
        except (OSError, ArrowInvalid) as error:
            raise WseError(f"{path}: cannot be read ({_first_line(error)})") from None

    def as_json(self) -> dict[str, Any]:
        """report.json as plain data, as it was written."""
        found: dict[str, Any] = write(self.report)
        return found


def load_run(path: Path | str) -> Run:
    """Read the folder ``path``; WseError in one line if it is not there, broken, unfinished, or of a newer wse-emu."""
    folder = Path(path)
    facts = read(RunFacts, load_object(folder / RUN), RUN)
    if not (folder / REPORT).exists():
        hint = f"wse-emu decode --resume {folder}" if facts.command == "decode" else "running it again"
        raise WseError(f"{folder}: the run is not finished: {hint} works")
    data = load_object(folder / REPORT)
    if data.get("command") != facts.command:
        raise WseError(f"{folder}: {RUN} is of `{facts.command}`, {REPORT} of `{data.get('command')}`: another folder")
    kind = DecodeReport if facts.command == "decode" else OtherReport
    return Run(folder, facts, read(kind, data, REPORT))  # type: ignore[arg-type]


def load_object(path: Path) -> dict[str, Any]:
    """A JSON object with a schema that is known here; WseError if not."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise WseError(f"{path}: cannot be read ({error.strerror}); a folder that --out made works") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise WseError(f"{path}: not JSON ({_first_line(error)})") from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if not isinstance(schema, int) or schema < 1:
        raise WseError(f"{path}: has no schema; a folder that --out made works")
    if schema > SCHEMA:
        raise WseError(f"{path}: schema {schema}, and this wse-emu reads up to {SCHEMA}: a newer wse-emu works")
    found: dict[str, Any] = data
    return found


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz; WseError if it is not there or broken."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise WseError(f"{path}: cannot be read ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
