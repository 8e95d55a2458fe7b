"""links.npz: what every link carried and every PE did and holds, over the new tokens of a decode."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wse_emu.engines.activity import activity, activity_maps
from wse_emu.engines.wafer_clock import TokenTiming
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.mappings.plan import Plan
from wse_emu.program import Routing
from wse_emu.program.memory import bytes_map
from wse_emu.report.folder import write_bytes


def pe_arrays(plan: Plan, spec: WaferSpec, timings: Sequence[TokenTiming], links: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays by name, int64; ``links`` is ``[E W N S, rows, columns]``, and so is the one here.

    The others are ``[rows, columns]``. On the PEs of a region ``busy_cycles`` and ``wait_cycles`` sum to the cycles of
    all tokens; elsewhere all are 0.
    """
    sram = bytes_map(plan.memory, spec)
    busy = _busy(plan, spec, timings)
    total = sum(timing.cycles for timing in timings)
    return {
        "links": links,
        "wavelets": links.sum(axis=0),
        "busy_cycles": busy,
        "wait_cycles": np.where(sram > 0, total - busy, 0),
        "sram_bytes": sram,
    }


def _busy(plan: Plan, spec: WaferSpec, timings: Sequence[TokenTiming]) -> np.ndarray:
    """Tokens with equally many cache slots keep every PE busy for equally long."""
    return np.asarray(sum(activity_maps(activity(plan.program, spec, slots_and_routes(timings)), spec)))


def slots_and_routes(timings: Sequence[TokenTiming]) -> list[tuple[int, Routing]]:
    """What decides how long PEs are busy in each token, all of which must have been recorded."""
    return [(timing.steps.slots, timing.routing) for timing in timings if timing.steps is not None]


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """``arrays`` as a compressed .npz."""
    sink = io.BytesIO()
    np.savez_compressed(sink, **arrays)  # type: ignore[arg-type]
    write_bytes(path, sink.getvalue())
