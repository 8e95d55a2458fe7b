"""How long PEs are busy: the cycles of their own instructions, which do not depend on when anything arrives.

A PE is busy while it computes and while a stream instruction of its own is set up and takes or sends wavelets at full
speed; streams in the background count where nothing in the foreground hides them. The rest of the time it waits.
"""

from functools import lru_cache

import numpy as np

from wse_emu.engines.lowering import Collective, lower
from wse_emu.engines.semantics import local_cycles, stream_costs
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import Local, Overlap
from wse_emu.program.steps import Step

ALONG_Y, ALONG_X = 0, 1


def computing_cycles(step: Step, spec: WaferSpec, slots: int) -> int:
    """Cycles that every PE of the region computes in ``step``, also where streams under way hide them."""
    if isinstance(step, Local):
        return local_cycles(spec, step, slots)
    return sum(local_cycles(spec, part, slots) for part in step.meanwhile) if isinstance(step, Overlap) else 0


def step_busy(step: Step, rows: int, cols: int, spec: WaferSpec, slots: int) -> tuple[int, np.ndarray]:
    """The axis along which PEs differ, and the cycles that ``step`` keeps those at each place of it busy, ``[line]``.

    An exchange with the host keeps nobody busy: PEs wait for it.
    """
    if isinstance(step, Local):
        return ALONG_Y, np.full(rows, local_cycles(spec, step, slots))
    if isinstance(step, Overlap):
        return ALONG_Y, np.full(rows, _overlap_cycles(step, rows, cols, spec, slots))
    if isinstance(step, Collective):
        extent = rows if step.axis == "y" else cols
        line = _line_busy(step, rows, cols, spec, slots)
        return ALONG_Y if step.axis == "y" else ALONG_X, np.tile(line, extent // len(line))
    return ALONG_Y, np.zeros(rows, dtype=np.int64)


def _overlap_cycles(step: Overlap, rows: int, cols: int, spec: WaferSpec, slots: int) -> int:
    """Streams that are under way at once share the ramp, beside the local work."""
    local = sum(local_cycles(spec, part, slots) for part in step.meanwhile)
    moving = [shift for shift in step.shifts if (rows if shift.axis == "y" else cols) > 1]
    wavelets = sum(value.wavelets_in_use(slots) for shift in moving for value in shift.inputs)
    if not wavelets:
        return local
    return max(local, stream_costs(spec, moving[0].inputs[0].dtype, combining=False).due(wavelets))


def _line_busy(step: Collective, rows: int, cols: int, spec: WaferSpec, slots: int) -> np.ndarray:
    """By place on the line, or on a group of it, int64 ``[extent]``."""
    wavelets = sum(value.wavelets_in_use(slots) for value in step.inputs)
    plain, combining = _streams(step, rows, cols)
    if not wavelets:
        return np.zeros_like(plain)
    costs = [stream_costs(spec, step.inputs[0].dtype, combining=adds).due(wavelets) for adds in (False, True)]
    return np.asarray(plain * costs[0] + combining * costs[1])


@lru_cache(maxsize=4096)
def _streams(step: Collective, rows: int, cols: int) -> np.ndarray:
    """Streams that a PE runs one after another, by place: plain ones, and those that combine, int64 ``[2, extent]``."""
    line = lower(step, rows, cols, 1)
    found = np.zeros((2, line.extent), dtype=np.int64)
    for place, told in line.instructions.items():
        for one in told:
            if not one.background and one.kind != "wait":
                found[int(one.kind.startswith("recv_op")), place] += 1
    return found
