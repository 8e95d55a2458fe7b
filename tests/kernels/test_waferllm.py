"""WaferLLM's decode layer and the pieces of its prefill: the numbers of the plain formulas."""

from math import prod

import numpy as np
import pytest

from tests.kernels.running import Running, close, normal
from wse_emu.engines.numeric import matrices
from wse_emu.errors import WseError
from wse_emu.kernels.waferllm import LayerShape, decode_layer, mesh_gemv, prefill_between
from wse_emu.program import Body

EPSILON = 1e-5


def random_weights(rng: np.random.Generator, body: Body) -> dict[str, np.ndarray]:
    return {value.name: normal(rng, *value.shape) / 2 for value in body.weights}


def as_loaded(body: Body, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Matrices of GEMVs come as (in, out)."""
    loaded = dict(weights)
    for name, outputs in matrices(body).items():
        held = weights[name]
        loaded[name] = np.ascontiguousarray(held.reshape(prod(held.shape[:outputs]), -1).T)
    return loaded


def rms(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPSILON) * weight
    return scaled


def softmax(scores: np.ndarray) -> np.ndarray:
    held = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: np.ndarray = held / held.sum(axis=-1, keepdims=True)
    return shares


def silu(x: np.ndarray) -> np.ndarray:
    held: np.ndarray = x / (1 + np.exp(-x))
    return held


def turned(pairs: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    a, b = pairs[:, 0], pairs[:, 1]
    return np.stack([a * cos - b * sin, b * cos + a * sin], axis=1)


@pytest.mark.parametrize(("edge", "reduce"), [(1, "chain"), (3, "ktree:3"), (4, "ktree:2")])
def test_a_decode_layer_gives_the_plain_formulas(edge: int, reduce: str) -> None:
    rng = np.random.default_rng(edge)
    shape, positions = LayerShape(12, 8, 20), 3 * edge
    body = decode_layer(edge, shape, positions, reduce, dtype="float32", epsilon=EPSILON)
    weights = random_weights(rng, body)
    angles, key_angles = rng.uniform(0, 6, 6), rng.uniform(0, 6, 4)
    given = {"x": normal(rng, 12)}
    for name, held in (("", angles), ("key_", key_angles)):
        given |= {f"{name}cos": np.cos(held).astype(np.float32), f"{name}sin": np.sin(held).astype(np.float32)}
    out, key, value = Running("numpy", body, as_loaded(body, weights))(given)

    w = {name: held.astype(np.float64) for name, held in weights.items()}
    x = given["x"].astype(np.float64)
    h = rms(x, w["norm_1"])
    q = turned(w["wq"] @ h, np.cos(angles), np.sin(angles))
    scores = np.tensordot(w["keys"][:, 0, 0], q, 2)
    mixed = w["values"][:, :, 0, 0] @ softmax(scores)
    x = x + w["wo"] @ mixed
    h2 = rms(x, w["norm_2"])
    x = x + w["down"] @ (silu(w["gate"] @ h2) * (w["up"] @ h2))
    close(out, x, 2e-5)
    close(key, turned(w["wk"] @ h, np.cos(key_angles), np.sin(key_angles)), 1e-5)
    close(value, w["wv"] @ h, 1e-5)


def test_a_decode_needs_whole_rows_of_positions() -> None:
    with pytest.raises(WseError, match="decode over 7 positions on 3² PEs: a multiple of 3 works"):
        decode_layer(3, LayerShape(12, 8, 20), 7, "chain")


def test_a_column_of_mesh_gemv_multiplies() -> None:
    rng = np.random.default_rng(0)
    body = mesh_gemv(6, 2, 3, 4, dtype="float32")
    w, x = normal(rng, 4, 18), normal(rng, 18)
    (y,) = Running("numpy", body, as_loaded(body, {"w": w}))({"x": x})
    close(y, w.astype(np.float64) @ x.astype(np.float64), 1e-5)


def test_what_a_prefill_does_between_its_gemms() -> None:
    """Both norms one after the other, a softmax over rows, a gate; the residual is x with itself."""
    rng = np.random.default_rng(1)
    body = prefill_between(3, LayerShape(12, 8, 18), 6, "chain", dtype="float32", epsilon=EPSILON)
    weights = random_weights(rng, body)
    given = {"x": normal(rng, 6, 12), "scores": normal(rng, 6, 6), "gate": normal(rng, 6, 18), "up": normal(rng, 6, 18)}
    x, scores, hidden = Running("numpy", body, weights)(given)
    held = {name: array.astype(np.float64) for name, array in given.items()}
    close(x, 2 * rms(rms(held["x"], weights["norm_1"]), weights["norm_2"]), 1e-5)
    close(scores, softmax(held["scores"]), 1e-5)
    close(hidden, silu(held["gate"]) * held["up"], 1e-5)
