"""Kernels in 16 bits against plain loops over PEs that round where the machine stores or sends a number."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.kernels.running import Running
from wse_emu.kernels.decoder import Shapes, Style, angles_body, layer_body
from wse_emu.kernels.gemv import gemv
from wse_emu.kernels.norm import rms_norm
from wse_emu.models.config import ModelConfig
from wse_emu.models.rope import Rope
from wse_emu.program import Builder, Layout
from wse_emu.program.precision import PRESETS, Precision

TYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
ROWS, COLS = 3, 2
CONFIG = ModelConfig(
    family="llama",
    vocabulary=23,
    hidden=10,
    layers=1,
    heads=4,
    kv_heads=2,
    head_dim=4,
    intermediate=9,
    context=32,
    norm_epsilon=1e-5,
    rope=Rope(theta=10000.0, pairing="half", scaling=None),
    tied_embeddings=True,
    attention_bias=False,
    qk_norm=False,
)


def wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32)


class PlainPes:
    """PEs one by one, in ``kind``; reductions by `chain`: from the far end, PE by PE, to the first."""

    def __init__(self, kind: type, quantise: Callable[[np.ndarray], np.ndarray] | None = None) -> None:
        self.kind, self.quantise = kind, quantise

    def store(self, numbers: Any) -> np.ndarray:
        return np.asarray(numbers).astype(self.kind)

    def chain(self, parts: list[np.ndarray]) -> np.ndarray:
        total = parts[-1]
        for part in parts[-2::-1]:
            total = self.store(wide(total) + wide(part))
        return total

    def gemv(self, w: np.ndarray, x: np.ndarray, pes: int) -> np.ndarray:
        """W (in, out), ``pes`` along the input; every product in float32, every partial sum stored."""
        block = -(-len(x) // pes)
        parts = []
        for start in range(0, len(x), block):
            held = w[start : start + block]
            held = self.store(held) if self.quantise is None else self.quantise(held)
            total = np.zeros(w.shape[1], dtype=np.float32)
            for i, row in enumerate(held):
                total += wide(row) * np.float32(x[start + i])
            parts.append(self.store(total))
        return self.chain(parts)

    def norm(self, x: np.ndarray, weight: np.ndarray, pes: int) -> np.ndarray:
        """Sums of squares stay float32, in the PE and on the wire."""
        block = -(-len(x) // pes)
        parts = [np.sum(wide(x[i : i + block]) ** 2) for i in range(0, len(x), block)]
        total = np.float32(parts[-1])
        for part in parts[-2::-1]:
            total = np.float32(total + part)
        inverse = 1 / np.sqrt(total / len(x) + np.float32(CONFIG.norm_epsilon))
        return self.store(wide(x) * inverse * wide(self.store(weight)))


class PlainLayer:
    """One layer on ROWS × COLS PEs, a key-value head per column; position t of the cache on row t mod ROWS."""

    def __init__(self, pes: PlainPes, weights: dict[str, np.ndarray]) -> None:
        self.pes, self.weights = pes, weights
        self.keys: list[np.ndarray] = []
        self.values: list[np.ndarray] = []

    def step(self, x: np.ndarray) -> np.ndarray:
        pes, w = self.pes, self.weights
        normed = pes.norm(x, w["attention_norm"], ROWS)
        heads = pes.gemv(w["qkv"], normed, ROWS).reshape(2, 4, 2, 2)  # kv, repeat + 2, pair, half
        turned = self._rope(heads[:, :3])
        self.keys.append(turned[:, 2])
        self.values.append(heads[:, 3])
        mixed = np.stack([self._attend(kv, query) for kv in range(2) for query in turned[kv, :2]])
        x = pes.store(wide(x) + wide(pes.gemv(w["o"], mixed.ravel(), COLS)))
        normed = pes.norm(x, w["mlp_norm"], ROWS)
        gate, up = np.split(wide(pes.gemv(w["gate_up"], normed, ROWS)), 2)
        hidden = pes.store(gate / (1 + np.exp(-gate)) * up)
        return pes.store(wide(x) + wide(pes.gemv(w["down"], hidden, COLS)))

    def angles(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        angle = np.array([1.0, 10000.0**-0.5], dtype=np.float32) * np.float32(position)
        return self.pes.store(np.cos(angle)), self.pes.store(np.sin(angle))

    def _rope(self, x: np.ndarray) -> np.ndarray:
        cos, sin = map(wide, self.angles(len(self.keys)))
        a, b = wide(x[:, :, 0]), wide(x[:, :, 1])
        return self.pes.store(np.stack([a * cos - b * sin, b * cos + a * sin], axis=2))

    def _attend(self, kv: int, query: np.ndarray) -> np.ndarray:
        store = self.pes.store
        scores = [store((wide(key[kv]) * (wide(query) * np.float32(0.5))).sum(dtype=np.float32)) for key in self.keys]
        best = max(float(score) for score in scores)
        weights = [store(np.exp(np.float32(score) - np.float32(best))) for score in scores]
        mixed, total = [], []
        for row in range(min(ROWS, len(weights))):
            own = range(row, len(weights), ROWS)
            parts = [np.float32(weights[t]) * wide(self.values[t][kv]) for t in own]
            mixed.append(store(sum(parts[1:], parts[0])))
            total.append(store(np.float32(sum(float(weights[t]) for t in own))))
        return store(wide(self.pes.chain(mixed)) / wide(self.pes.chain(total)))


def smallest_half_from(wanted: float) -> np.float16:
    """The smallest float16 that is at least ``wanted``, by trying neighbours."""
    found = np.float16(wanted)
    while float(found) < wanted:
        found = np.nextafter(found, np.float16(np.inf))
    while found > 0 and float(np.nextafter(found, np.float16(0))) >= wanted:
        found = np.nextafter(found, np.float16(0))
    return found


def plain_quantiser(largest: int, group: int) -> Callable[[np.ndarray], np.ndarray]:
    """Element by element: a scale for every ``group`` inputs of an output, integers, and the product as float16."""

    def restore(block: np.ndarray) -> np.ndarray:
        restored = np.zeros(block.shape, dtype=np.float16)
        for column in range(block.shape[1]):
            for start in range(0, len(block), group):
                run = block[start : start + group, column]
                scale = smallest_half_from(float(np.float32(np.abs(run).max()) / np.float32(largest)))
                for i, weight in enumerate(run):
                    integer = round(float(weight) / float(scale)) if scale else 0
                    restored[start + i, column] = np.float16(integer * float(scale))
        return restored

    return restore


def coarse(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers of few bits: their products and short sums are exact in float32, in any order."""
    return (rng.integers(-31, 32, shape) / 16).astype(np.float32)


@pytest.mark.parametrize("dtype", sorted(TYPES))
@pytest.mark.parametrize("pes", [1, 3, 7])
def test_a_gemv_rounds_partial_sums_and_every_addition_on_the_wire(dtype: str, pes: int) -> None:
    rng = np.random.default_rng(3)
    w, x = coarse(rng, 25, 11), coarse(rng, 25).astype(TYPES[dtype])
    b = Builder("gemv", pes, 4, reduce="chain", dtype=dtype)
    matrix = b.matrix("w", (11, 25), Layout(("x", "y")))
    body = b.build(gemv(b, matrix, b.input("x", (25,), Layout(("y",)))))
    (got,) = Running("numpy", body, {"w": w})({"x": x})
    assert got.dtype == TYPES[dtype]
    np.testing.assert_array_equal(got, PlainPes(TYPES[dtype]).gemv(w, x, pes))
    if pes > 1:
        assert (got != (w.T @ wide(x)).astype(TYPES[dtype])).any(), "rounding once at the end would do as well"


@pytest.mark.parametrize(("reduce", "total"), [("chain", 28800.0), ("two_way", np.inf), ("tree", np.inf)])
def test_a_sum_that_leaves_float16_on_the_wire_is_infinite(reduce: str, total: float) -> None:
    """The sum itself would fit; a chain begins at the far end, the others add the first two numbers alone."""
    b = Builder("gemv", 4, 1, reduce=reduce, dtype="float16")
    matrix = b.matrix("w", (3, 4), Layout(("x", "y")))
    body = b.build(gemv(b, matrix, b.input("x", (4,), Layout(("y",)))))
    (got,) = Running("numpy", body, {"w": np.ones((4, 3), np.float32)})(
        {"x": np.array([40000, 40000, -51200, 0], np.float16)}
    )
    assert got.tolist() == [total] * 3


@pytest.mark.parametrize("dtype", sorted(TYPES))
def test_an_rms_norm_sums_squares_in_float32(dtype: str) -> None:
    rng = np.random.default_rng(4)
    x, weight = (300 * coarse(rng, 29)).astype(TYPES[dtype]), coarse(rng, 29)
    assert float(np.sum(wide(x) ** 2)) > float(np.finfo(np.float16).max)
    b = Builder("norm", 5, 1, reduce="chain", dtype=dtype)
    held = b.input("x", (29,), Layout(("y",)))
    body = b.build(rms_norm(b, held, b.weight("w", (29,), Layout(("y",))), epsilon=CONFIG.norm_epsilon))
    (got,) = Running("numpy", body, {"w": weight})({"x": x})
    assert got.dtype == TYPES[dtype]
    np.testing.assert_array_equal(got, PlainPes(TYPES[dtype]).norm(x, weight, 5))


def layer_weights(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Matrices (in, out) as the engine takes them."""
    shapes = {"qkv": (10, 32), "o": (16, 10), "gate_up": (10, 18), "down": (9, 10)}
    weights = {name: rng.standard_normal(shape).astype(np.float32) / 3 for name, shape in shapes.items()}
    return weights | {f"{part}_norm": 1 + coarse(rng, 10) / 8 for part in ("attention", "mlp")}


@pytest.mark.parametrize(
    ("precision", "plain"),
    [
        (PRESETS["float16"], PlainPes(np.float16)),
        (PRESETS["bfloat16"], PlainPes(ml_dtypes.bfloat16)),
        (PRESETS["int8"], PlainPes(np.float16, plain_quantiser(127, 32))),
        (replace(PRESETS["int4"], group=2), PlainPes(np.float16, plain_quantiser(7, 2))),
    ],
    ids=["float16", "bfloat16", "int8", "int4"],
)
def test_a_layer_rounds_where_the_machine_stores_or_sends(precision: Precision, plain: PlainPes) -> None:
    """The order of a PE's own float32 sums is the library's: now and then it tips a number to its neighbour."""
    rng = np.random.default_rng(7)
    weights, shapes = layer_weights(rng), Shapes(CONFIG, COLS, 1)
    style = Style(precision, "chain")
    layer = Running("numpy", layer_body(shapes, style, ROWS, positions=8), weights)
    frequencies = np.array([1.0, 10000.0**-0.5], dtype=np.float32)
    angles = Running("numpy", angles_body(shapes, style, ROWS), {"rope": frequencies})
    oracle = PlainLayer(plain, weights)
    same = total = 0
    for position in range(8):
        x: np.ndarray = rng.standard_normal(10).astype(plain.kind)
        cos, sin = angles(position=position)
        for got, expected in zip((cos, sin), oracle.angles(position), strict=True):
            np.testing.assert_array_equal(got, expected)
        (got,) = layer({"hidden": x, "cos": cos, "sin": sin}, position)
        expected = oracle.step(x)
        assert got.dtype == expected.dtype == np.dtype(plain.kind)
        step = EPSILON[np.dtype(plain.kind).name] * max(1.0, float(np.abs(wide(expected)).max()))
        np.testing.assert_allclose(wide(got), wide(expected), rtol=0, atol=2 * step)
        same, total = same + int((got == expected).sum()), total + got.size
    assert same >= 0.95 * total
