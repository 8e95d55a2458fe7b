"""Measured programs on the emulator: what each benchmark would report, in cycles of its wafer.

The protocol is the benchmark's own: a mean over repeats after warm-up is the round that the program settles into; a
run from a standing start begins with PEs that start one after another.
"""

from collections.abc import Iterable

import numpy as np

from wse_emu.engines.repeats import repeat
from wse_emu.engines.timing import BodyClock, collective_cycles
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.kernels.waferllm import (
    LayerShape,
    decode_layer,
    gemm_start,
    gemm_step,
    mesh_gemv,
    prefill_between,
    prefill_gemms,
    shift_round,
    shift_start,
)
from wse_emu.program import Body

WARM_UP, REPEATS = 10, 100
"""Rounds of the MeshGEMV benchmark (header of wse3_meshgemv_silicon.csv)."""


def mesh_gemv_cycles(spec: WaferSpec, edge: int, groups: int, tile_m: int, tile_n: int) -> float:
    """Mean cycles per GEMV on ``edge``² PEs, float16, ``groups`` groups per line."""
    body = mesh_gemv(edge, groups, tile_m, tile_n)
    warm = repeat(body, spec, WARM_UP, _at_once(edge, 1))
    return float(repeat(body, spec, REPEATS, warm).max() - warm.max()) / REPEATS


def mesh_gemm_cycles(spec: WaferSpec, edge: int, tile: tuple[int, int, int], dtype: str = "float16") -> int:
    """Cycles of a GEMM of tiles (m, k, n) on ``edge``² PEs."""
    begun = repeat(gemm_start(edge), spec, 1, _at_once(edge, edge))
    return int(repeat(gemm_step(edge, tile, dtype=dtype), spec, edge, begun).max())


def shift_cycles(spec: WaferSpec, edge: int, elements: int, rounds: Iterable[int]) -> dict[int, int]:
    """By number of rounds: cycles of shifts of ``elements`` float16 along both axes of ``edge``² PEs.

    A run begins from a standing start. Every PE times itself, and the longest time counts.
    """
    start = np.add.outer(np.arange(edge), np.arange(edge)) * spec.launch_cycles
    clock = repeat(shift_start(edge), spec, 1, start)
    body = shift_round(edge, elements)
    found, done = {}, 0
    for count in sorted(set(rounds)):
        clock = repeat(body, spec, count - done, clock)
        done = count
        found[count] = int((clock - start).max())
    return found


def decode_cycles(spec: WaferSpec, edge: int, shape: LayerShape, positions: int) -> int:
    """Cycles of a token in one layer on ``edge``² PEs over ``positions`` cached ones; sizes are padded to ``edge``."""
    padded = LayerShape(*(_up(size, edge) for size in (shape.hidden, shape.kv, shape.intermediate)))
    places = _up(positions, edge)
    body = decode_layer(edge, padded, places, best_groups(spec, edge))
    return _once(body, spec, places // edge)


def prefill_cycles(spec: WaferSpec, edge: int, shape: LayerShape, positions: int, dtype: str = "float16") -> int:
    """Cycles of ``positions`` tokens in one layer on ``edge``² PEs; all sizes padded to ``edge``."""
    tiles = prefill_gemms(edge, shape, positions)
    cycles = {tile: mesh_gemm_cycles(spec, edge, tile, dtype) for tile in set(tiles.values())}
    gemms = sum(cycles[tile] for tile in tiles.values())
    padded = LayerShape(*(_up(size, edge) for size in (shape.hidden, shape.kv, shape.intermediate)))
    between = prefill_between(edge, padded, _up(positions, edge), best_groups(spec, edge), dtype=dtype)
    return gemms + _once(between, spec, 1)


def kv_capacity(spec: WaferSpec, edge: int, shape: LayerShape, layers: int, *, shifted: bool) -> int:
    """Tokens whose keys and values fit in SRAM, float16, when the layers share ``edge``² PEs a region.

    Regions are counted by PEs, and nothing is kept for the runtime, as the published figure has it. Appended to the end
    (concatenated), all of a sequence lies on one row of PEs; shifted, on all of them (OSDI 2025, section 4.3).
    """
    per_region = -(-layers // (spec.cores // edge**2))
    d, kv, f = (-(-size // edge) for size in (shape.hidden, shape.kv, shape.intermediate))
    weights = 2 * (2 * d * d + 2 * d * kv + 3 * d * f)
    row = (spec.sram_bytes - per_region * weights) // (per_region * 2 * 2 * kv)
    return max(0, row) * (edge if shifted else 1)


def best_groups(spec: WaferSpec, edge: int) -> str:
    """The `ktree` whose all-reduce is fastest, among the numbers of groups that divide ``edge``."""
    return min(
        (f"ktree:{groups}" for groups in range(1, edge + 1) if edge % groups == 0),
        key=lambda name: collective_cycles(spec, name, edge, 4, "float16", back=True),
    )


def _once(body: Body, spec: WaferSpec, slots: int) -> int:
    run = BodyClock(spec, body, _at_once(body.rows, body.cols), slots)
    run.run()
    return int(run.clock.max() + run.offset)


def _at_once(rows: int, cols: int) -> np.ndarray:
    return np.zeros((rows, cols), dtype=np.int64)


def _up(size: int, edge: int) -> int:
    return -(-size // edge) * edge
