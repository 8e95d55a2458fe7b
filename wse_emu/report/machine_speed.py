"""How fast this machine copies memory: what its speed is measured against."""

from time import perf_counter

import numpy as np

BYTES = 256 << 20


def copy_bandwidth(repeats: int = 3) -> float:
    """Bytes read and written a second by a plain copy of a large array, the best of ``repeats``."""
    source = np.ones(BYTES // 8)
    target = np.zeros_like(source)
    best = 0.0
    for _ in range(repeats):
        started = perf_counter()
        np.copyto(target, source)
        best = max(best, 2 * BYTES / (perf_counter() - started))
    return best
