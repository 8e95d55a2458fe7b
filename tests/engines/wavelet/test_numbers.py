"""What the fabric adds up, wavelet by wavelet, is what the numeric engine computes, to the last bit."""

import array_api_compat
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines import published
from tests.engines.streams import next_on_ring
from wse_emu.engines.backend import NumpyBackend
from wse_emu.engines.carried import FabricBackend, carry
from wse_emu.engines.numeric import NumericEngine, arrange, matrices
from wse_emu.hardware.wafer import load_wafer
from wse_emu.kernels.decoder import Shapes, Style, angles_body, embed_body, head_body, layer_body
from wse_emu.models.config import ModelConfig
from wse_emu.models.rope import Rope
from wse_emu.program import Body, Builder, Layout
from wse_emu.program.schedule import schedule

NUMPY = array_api_compat.array_namespace(np.empty(0))
WAFERS = st.sampled_from(("wse1", "wse2", "wse3"))
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
CONFIG = ModelConfig(
    family="qwen3",
    vocabulary=23,
    hidden=10,
    layers=1,
    heads=4,
    kv_heads=2,
    head_dim=4,
    intermediate=9,
    context=32,
    norm_epsilon=1e-6,
    rope=Rope(theta=10000.0, pairing="half", scaling=None),
    tied_embeddings=True,
    attention_bias=True,
    qk_norm=True,
)
OTHER = ModelConfig(
    family="gpt_neox",
    vocabulary=23,
    hidden=10,
    layers=1,
    heads=2,
    kv_heads=2,
    head_dim=6,
    intermediate=9,
    context=7,
    norm_epsilon=1e-6,
    rope=Rope(theta=10000.0, pairing="half", rotated=2),
    attention_bias=True,
    output_bias=True,
    mlp_bias=True,
    norm="layer",
    activation="gelu",
    gated=False,
    learned_positions=True,
    parallel_residual=True,
    post_norms=True,
    embedding_scale=2.0,
    attention_softcap=3.0,
    logit_softcap=5.0,
    window=2,
    windowed=(True,),
)
"""What no published model has at once."""


@settings(max_examples=60, deadline=None)
@given(
    algorithm=st.sampled_from(published.ALGORITHMS),
    extent=st.integers(1, 14),
    words=st.integers(1, 6),
    dtype=st.sampled_from(tuple(DTYPES)),
    operation=st.sampled_from(("add", "max")),
    wafer=WAFERS,
    seed=st.integers(0, 2**32 - 1),
)
def test_reductions_give_the_same_bits(  # noqa: PLR0917
    algorithm: str, extent: int, words: int, dtype: str, operation: str, wafer: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    lanes = 4 // np.dtype(DTYPES[dtype]).itemsize
    values = (rng.standard_normal((extent, words * lanes)) * 10.0 ** rng.integers(-3, 4)).astype(DTYPES[dtype])
    plan = schedule(algorithm, extent)
    (expected,) = NumpyBackend().combine(plan, (values,), operation)
    (got,) = FabricBackend(NUMPY, load_wafer(wafer)).combine(plan, (values,), operation)
    np.testing.assert_array_equal(got.view(np.uint8), np.ascontiguousarray(expected).view(np.uint8))


@settings(max_examples=30, deadline=None)
@given(
    algorithm=st.sampled_from(published.ALGORITHMS),
    extent=st.integers(1, 12),
    size=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_argmax_gives_the_same_bits_ties_included(algorithm: str, extent: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, (extent, size)).astype(np.float32)
    indices = rng.permutation(extent * size).reshape(extent, size).astype(np.int32)
    plan = schedule(algorithm, extent)
    expected = NumpyBackend().combine(plan, (values, indices), "argmax")
    got = FabricBackend(NUMPY, load_wafer("wse3")).combine(plan, (values, indices), "argmax")
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@settings(max_examples=30, deadline=None)
@given(
    extent=st.integers(1, 11),
    words=st.integers(1, 20),
    distance=st.sampled_from((-2, -1, 1, 2, 3)),
    along_y=st.booleans(),
    wafer=WAFERS,
)
def test_shifts_carry_every_word_to_its_place(
    extent: int, words: int, distance: int, along_y: bool, wafer: str
) -> None:
    rows, cols = (extent, 2) if along_y else (2, extent)
    b = Builder("shift", rows, cols)
    x = b.input("x", (rows, cols, words), Layout(("y", "x", None)))
    body = b.build(b.shift(x, axis="y" if along_y else "x", distance=distance))
    blocks = np.arange(rows * cols * words, dtype=np.uint32).reshape(rows, cols, words)
    got, _ = carry(body, load_wafer(wafer), blocks, "add_float32")
    expected = blocks.swapaxes(0, 1).copy() if along_y else blocks.copy()
    for _ in range(abs(distance)):
        moved = expected.copy()
        moved[:, next_on_ring(extent, distance)] = expected
        expected = moved
    np.testing.assert_array_equal(got, expected.swapaxes(0, 1) if along_y else expected)


def bodies(algorithm: str, config: ModelConfig, dtype: str = "float32") -> dict[str, Body]:
    """Every kernel of a decode on a grid of 3 × 4 PEs."""
    style, shapes = Style(dtype, algorithm), Shapes(config, 4, 2)
    return {
        "embed": embed_body(config, style, 3, 4),
        "angles": angles_body(shapes, style, 3),
        "layer": layer_body(shapes, style, 3, positions=9, kind=config.kind(0)),
        "head": head_body(config, style, 3, 4),
    }


@pytest.mark.parametrize(
    ("config", "algorithm"), [*((CONFIG, algorithm) for algorithm in published.ALGORITHMS), (OTHER, "two_phase")]
)
@pytest.mark.parametrize("name", ["embed", "layer", "head"])
def test_kernels_give_the_same_bits_when_the_fabric_reduces(config: ModelConfig, name: str, algorithm: str) -> None:
    check_bits(bodies(algorithm, config)[name])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int4"])
@pytest.mark.parametrize("name", ["embed", "layer", "head"])
def test_kernels_of_16_bits_give_the_same_bits_when_the_fabric_reduces(name: str, dtype: str) -> None:
    check_bits(bodies("ktree", CONFIG, dtype)[name])


def check_bits(body: Body) -> None:
    rng = np.random.default_rng(5)
    # the plain array API on both sides: only who reduces differs
    plain, fabric = FabricBackend(NUMPY, load_wafer("wse3")), FabricBackend(NUMPY, load_wafer("wse3"))
    plain.combine = NumpyBackend().combine  # type: ignore[method-assign]
    results = []
    given_values = {v.name: _random(rng, v.shape, v.dtype) for v in (*body.weights, *body.inputs, *body.states)}
    for backend in (plain, fabric):
        outputs = matrices(body)
        weights = {}
        for value in body.weights:
            array = given_values[value.name]
            if value.name in outputs:
                array = _as_matrix(array, outputs[value.name])
            weights[value.name] = arrange(backend, value, array, outputs.get(value.name))
        inputs = {v.name: arrange(backend, v, given_values[v.name], None) for v in body.inputs}
        states = {v.name: arrange(backend, v, given_values[v.name], None).copy() for v in body.states}
        results.append(NumericEngine(backend).run(body, inputs, weights, states, 4)[0])
    for name_, expected in results[0].items():
        assert results[1][name_].dtype == expected.dtype
        np.testing.assert_array_equal(np.asarray(results[1][name_]), np.asarray(expected))


def _random(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if dtype == "int32":
        return rng.integers(0, CONFIG.vocabulary, shape).astype(np.int32)
    return rng.standard_normal(shape).astype(np.float32)


def _as_matrix(array: np.ndarray, outputs: int) -> np.ndarray:
    """Weights as the engine takes them: (in, out)."""
    out = int(np.prod(array.shape[:outputs]))
    return np.ascontiguousarray(array.reshape(out, -1).T)
