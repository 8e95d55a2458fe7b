"""Run one kernel through the numeric engine: whole tensors in, whole tensors out."""

from collections.abc import Mapping
from functools import cache

import array_api_strict
import numpy as np

from wse_emu.engines.backend import Backend, load_backend
from wse_emu.engines.numeric import NumericEngine, arrange, matrices
from wse_emu.program import Body, Value, from_blocks, to_blocks

Tensors = Mapping[str, np.ndarray]
BACKENDS = ("numpy", "strict")
"""The ones that are quick to try; jax compiles every body."""
REDUCTIONS = ("chain", "two_way", "tree", "two_phase", "ktree", "ktree:3")


@cache
def engine(backend: str) -> NumericEngine:
    """`strict` is array-api-strict, which holds the engine to the array API."""
    return NumericEngine(Backend("strict", array_api_strict) if backend == "strict" else load_backend(backend))


class Running:
    """A body with its weights loaded and its states empty."""

    def __init__(self, backend: str, body: Body, weights: Tensors | None = None) -> None:
        self.body, self.engine = body, engine(backend)
        own, given, outputs = self.engine.backend, weights or {}, matrices(body)
        self.weights = {v.name: arrange(own, v, given[v.name], outputs.get(v.name)) for v in body.weights}
        self.states = {
            s.name: own.xp.zeros((s.rows, *s.grid[1:], *s.block), dtype=own.dtype(s.dtype)) for s in body.states
        }

    def __call__(self, inputs: Tensors | None = None, position: int = 0) -> list[np.ndarray]:
        """Outputs in order, for the token at ``position``."""
        own, given = self.engine.backend, inputs or {}
        arrays = {v.name: own.array(blocks(v, given[v.name])) for v in self.body.inputs}
        outputs, self.states = self.engine.run(self.body, arrays, self.weights, self.states, position)
        return [tensor(v, own.numpy(outputs[v.name])) for v in self.body.outputs]


def blocks(value: Value, array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(to_blocks(np, array, value.layout, value.rows, value.cols))


def tensor(value: Value, array: np.ndarray) -> np.ndarray:
    whole: np.ndarray = from_blocks(np, array, value.shape, value.layout, value.rows, value.cols)
    return whole


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def close(got: np.ndarray, expected: np.ndarray, tolerance: float = 3e-6) -> None:
    """Equal but for the rounding of float32, against an expectation in float64."""
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(expected).max())))
