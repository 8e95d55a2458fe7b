"""A body that runs again and again, as benchmarks on wafers do: its clocks, without running every round."""

import numpy as np

from wse_emu.engines.timing import BodyClock
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import Body


def repeat(body: Body, spec: WaferSpec, rounds: int, start: np.ndarray) -> np.ndarray:
    """Cycle at which every PE ends ``rounds`` rounds of ``body`` begun at ``start``, int64 ``[rows, cols]``.

    A round depends on nothing but the differences of the clocks that it starts with. Once it leaves them as they were,
    all later rounds take as long, exactly.
    """
    clock = start.astype(np.int64)
    for done in range(rounds):
        run = BodyClock(spec, body, clock, 1)
        run.run()
        after = run.clock + run.offset
        growth = after - clock
        clock = after
        if (growth == growth.flat[0]).all():
            return np.asarray(clock + int(growth.flat[0]) * (rounds - done - 1))
    return clock
