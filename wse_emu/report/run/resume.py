"""state.json: how far a decode is. A run that was killed goes on from run.json and this, with the same tokens.

The KV cache is not kept. It is computed again from the tokens, in the same order and therefore with the same bits; the
hash of all logits says whether it was.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wse_emu.decode import Decoded
from wse_emu.errors import WseError
from wse_emu.report.decode_options import DecodeOptions
from wse_emu.report.folder import write_json
from wse_emu.report.run.reader import load_object
from wse_emu.report.run.record import REPORT, RUN, SCHEMA, Facts
from wse_emu.report.run.schema import RunFacts
from wse_emu.report.run.typed import read

STATE = "state.json"
OF_THE_CALL = ("json_output", "out", "resume")
"""Options that are not the run's, but those of the command that begins it or goes on with it."""


@dataclass(frozen=True)
class DecodeState:
    """What a decode had come to when it was last saved."""

    schema: int
    complete: bool
    """Whether all tokens are there, and all files behind them."""
    token_ids: list[int]
    logits_sha256: str
    """Of the logits of all tokens so far, float32, one after another."""
    sampling: dict[str, Any] | None
    """State of numpy's generator after the last token; None where the wafer decodes greedily."""


class StateKeeper:
    """Saves the state after every token; of a run that goes on, first sees that the tokens come out as before."""

    def __init__(self, out: Path | None, before: DecodeState | None = None) -> None:
        self._out, self._before = out, before
        self._ids: list[int] = []
        self._hash = hashlib.sha256()
        self._sampling: dict[str, Any] | None = None

    def add(self, decoded: Decoded, sampling: dict[str, Any] | None) -> None:
        """One more token; WseError if it is not the one that was there before."""
        self._ids.append(decoded.token)
        self._hash.update(decoded.logits.tobytes())
        self._sampling = sampling
        before, done = self._before, len(self._ids)
        if before is not None and done <= len(before.token_ids):
            self._compare(before, done)
        else:
            self.save()

    def _compare(self, before: DecodeState, done: int) -> None:
        same = before.token_ids[done - 1] == self._ids[-1]
        if done == len(before.token_ids):
            same = same and (before.logits_sha256, before.sampling) == (self._hash.hexdigest(), self._sampling)
        if not same:
            raise WseError(
                f"{self._out}: token {done} does not come out as it did before: this machine, its packages or its "
                "threads compute other numbers; a new run works"
            )

    def save(self, *, complete: bool = False) -> None:
        """Write state.json, where there is a folder, unless more tokens are saved there."""
        kept = 0 if self._before is None else len(self._before.token_ids)
        if self._out is not None and len(self._ids) >= kept:
            state = DecodeState(SCHEMA, complete, self._ids, self._hash.hexdigest(), self._sampling)
            write_json(self._out / STATE, asdict(state))


def load_state(out: Path) -> DecodeState | None:
    """What was last saved in ``out``; None if the run ended before its first token."""
    if not (out / STATE).exists():
        return None
    return read(DecodeState, load_object(out / STATE), STATE)


def is_complete(out: Path) -> bool:
    """Whether there is nothing left to do in ``out``."""
    state = load_state(out)
    return state is not None and state.complete and (out / REPORT).exists()


def saved_options(options: DecodeOptions) -> Facts:
    """What run.json keeps of ``options``: paths are absolute, so that the run can go on from anywhere."""
    held = {name: value for name, value in asdict(options).items() if name not in OF_THE_CALL}
    for name in ("model", "wafer", "defects", "save_logits", "trace"):
        value = held[name]
        if value is not None and (isinstance(value, Path) or _is_path(value)):
            held[name] = str(Path(value).expanduser().resolve())
    return held


def _is_path(value: str) -> bool:
    """Whether it names a file or folder here, rather than a preset, a model by name, or a rate."""
    try:
        return ("/" in value or "." in value) and Path(value).expanduser().exists()
    except (OSError, RuntimeError):
        return False


def options_of(out: Path, *, json_output: bool) -> DecodeOptions:
    """The options of the run in ``out``; WseError if it is none of `wse-emu decode`."""
    facts = read(RunFacts, load_object(out / RUN), RUN)
    if facts.command != "decode":
        raise WseError(f"--resume {out}: a run of `{facts.command}`, which is begun anew; one of `decode` works")
    held = {**facts.options, "json_output": json_output, "out": str(out), "resume": True}
    return read(DecodeOptions, held, f"--resume {out}: {RUN}.options")


def check_same(out: Path, now: Facts) -> None:
    """WseError if the run in ``out`` had another model, mapping or wafer than the one that would go on."""
    before = read(RunFacts, load_object(out / RUN), RUN)
    for what, old in (("model", before.model), ("mapping", before.mapping), ("wafer", before.wafer)):
        was, new = "" if old is None else old.sha256, now[what]["sha256"]
        if was != new:
            raise WseError(
                f"--resume {out}: the {what} is not the one of that run (sha256 {new[:12]}…, was {was[:12]}…); "
                "a new run works"
            )
