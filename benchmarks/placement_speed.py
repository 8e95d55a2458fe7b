"""Placements a second that the evaluator judges, in batches and one by one: ``python -m benchmarks.placement_speed``.

Random placements of sko100a and of the 32 layers of Llama-3.1-8B, 16-bit, as a pipeline on wse3. The first batch of
the latter also times every kind of step on the timing engine once; it has a row of its own.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.timing_speed import LLAMA_3_1_8B
from wse_emu.engines.estimate import Estimator
from wse_emu.hardware import load_wafer
from wse_emu.mappings.layers import fitted_pipeline
from wse_emu.mappings.placement import Placement, PlacementProblem
from wse_emu.mappings.placement.evaluate import METRICS, Evaluator
from wse_emu.mappings.placement.models import layer_problem
from wse_emu.mappings.placement.readers import read_problem
from wse_emu.mappings.placement.strategies.slots import find_slots
from wse_emu.mappings.plan import Request

Rates = dict[str, float | None]
ALONE = 0.5
"""Seconds for which placements are judged one by one."""


def random_placements(problem: PlacementProblem, count: int) -> list[Placement]:
    slots, rng = find_slots(problem, "random"), np.random.default_rng(0)
    return [slots.along(rng.permutation(slots.free)) for _ in range(count)]


def rates(problem: PlacementProblem, placements: list[Placement], metrics: tuple[str, ...], xp: Any) -> Rates:
    """Placements a second: the first batch, a later one, and (numpy) one by one."""
    x, y = (xp.asarray(np.array([getattr(p, axis) for p in placements])) for axis in ("x", "y"))
    evaluator = Evaluator(problem)

    def batch() -> None:
        for values in evaluator.costs(x, y, None, metrics).values():
            np.asarray(values)

    first, later = _seconds(batch), min(_seconds(batch) for _ in range(3))
    alone = _one_by_one(evaluator, x, y, metrics) if xp is np else None
    return {"first": len(placements) / first, "batch": len(placements) / later, "one_by_one": alone}


def _one_by_one(evaluator: Evaluator, x: np.ndarray, y: np.ndarray, metrics: tuple[str, ...]) -> float:
    done, began = 0, perf_counter()
    while perf_counter() - began < ALONE:
        one = slice(done % len(x), done % len(x) + 1)
        evaluator.costs(x[one], y[one], None, metrics)
        done += 1
    return done / (perf_counter() - began)


def _seconds(run: Callable[[], None]) -> float:
    began = perf_counter()
    run()
    return perf_counter() - began


def cases(count: int) -> Iterator[tuple[str, Rates]]:
    import jax.numpy as jnp

    sko100a = read_problem(Path("sko100a"))
    placements = random_placements(sko100a, 20 * count)
    yield "sko100a, cost, numpy", rates(sko100a, placements, ("cost",), np)
    yield "sko100a, cost, jax", rates(sko100a, placements, ("cost",), jnp)
    spec = load_wafer("wse3")
    request = Request(LLAMA_3_1_8B, spec, 4096, "auto", Estimator(spec), dtype="float16")
    layers = layer_problem(fitted_pipeline(request))
    placements = random_placements(layers, count)
    yield "32 layers, cycles, numpy", rates(layers, placements, ("cycles",), np)
    yield "32 layers, all metrics, numpy", rates(layers, placements, METRICS, np)
    yield "32 layers, busiest link, jax", rates(layers, placements, ("busiest_link",), jnp)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--count", type=int, default=1000, help="placements of the layers in a batch; of sko100a 20 times as many"
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = dict(cases(args.count))
    if args.json:
        print(json.dumps(found))
        return
    print(f"{'placements a second':32} {'first batch':>12} {'batch':>12} {'one by one':>12} {'ratio':>8}")
    for name, row in found.items():
        shown = f"{name:32} {row['first']:12,.0f} {row['batch']:12,.0f}"
        alone = row["one_by_one"]
        print(shown if alone is None else f"{shown} {alone:12,.0f} {(row['batch'] or 0) / alone:8.0f}")


if __name__ == "__main__":
    main()
