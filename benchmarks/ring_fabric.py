"""A ring all-reduce written for the fabric, on a ring in any order: what the wavelet engine runs cycle by cycle.

It adds what arrives while it arrives (`recv_op`), as the reductions of this project do; `ring_all_reduce` in
`kernels/ring.py` stores a block first and adds it then.
"""

from collections.abc import Sequence

from wse_emu.engines.fabric_kernel import Array, ColorHandle, FabricKernel
from wse_emu.hardware.wafer import WaferSpec


def ring_fabric(
    spec: WaferSpec, order: Sequence[int], wavelets: int, steps: int | None = None
) -> tuple[FabricKernel, Array]:
    """All-reduce of ``len(order)`` blocks of ``wavelets`` float32 on a row of PEs that are joined in ``order``.

    ``steps``: how many of its 2 (P − 1) steps to run (all if None). Returns the kernel and the array that holds the
    vector before, and the sum after.
    """
    extent = len(order)
    steps = 2 * (extent - 1) if steps is None else steps
    k = FabricKernel(1, extent, wafer=spec)
    x = k.array("x", extent * wavelets)
    after = {here: order[(place + 1) % extent] for place, here in enumerate(order)}
    colors = _routes(k, after)
    for place, here in enumerate(order):
        sent, taken = colors[here], colors[order[place - 1]]
        with k[0, here].code() as pe:
            for step in range(steps):
                mine, theirs = (_block(x, (place - step - back) % extent, wavelets) for back in (0, 1))
                pe.send(sent, mine, background=True)
                if step < extent - 1:
                    pe.recv_op(taken, theirs, "add")
                else:
                    pe.recv(taken, theirs)
                pe.wait()
    return k, x


def naive_order(extent: int) -> list[int]:
    """Neighbours one hop apart, and the whole way back from the last to the first."""
    return list(range(extent))


def _block(x: Array, number: int, wavelets: int) -> Array:
    return x[number * wavelets : (number + 1) * wavelets]


def _routes(k: FabricKernel, after: dict[int, int]) -> dict[int, ColorHandle]:
    """By sender: the first color that no other stream uses on its way."""
    taken: list[tuple[ColorHandle, set[int]]] = []
    colors = {}
    for start, stop in after.items():
        span = set(range(min(start, stop), max(start, stop) + 1))
        free = next((held for held in taken if not held[1] & span), None)
        if free is None:
            free = (k.color(f"ring {len(taken)}"), set())
            taken.append(free)
        free[1].update(span)
        colors[start] = free[0]
        ahead, behind = ("E", "W") if stop > start else ("W", "E")
        for position in span:
            inputs = "RAMP" if position == start else behind
            outputs = "RAMP" if position == stop else ahead
            k[0, position].route(free[0], inputs, outputs)
    return colors
