"""Whole decodes in other types: tokens of independent decoders, cycles, bytes, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from tests.oracle import tiny
from wse_emu.decode import map_model
from wse_emu.engines.estimate import Estimator
from wse_emu.engines.semantics import local_cycles, work_cycles
from wse_emu.errors import WseError
from wse_emu.fabric import Region
from wse_emu.hardware import load_wafer
from wse_emu.kernels.gemv import gemv
from wse_emu.mappings.plan import Request
from wse_emu.mappings.registry import make_plan
from wse_emu.models import Model, load_model
from wse_emu.program import Body, Builder, Call, Layout, Local, Program, memory
from wse_emu.program.ops import Work
from wse_emu.program.precision import PRESETS, Precision

SPEC = replace(load_wafer("mini"), runtime_bytes=100)
EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7}


@pytest.fixture(scope="module")
def tiny_model() -> Model:
    return load_model("tiny")


@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_logits_are_those_of_transformers_but_for_the_rounding(tiny_model: Model, dtype: str, mapping: str) -> None:
    """Rounding errors of a few steps, which grow with the root of their number: well within forty steps of 16 bits."""
    expected = tiny.decoded("story")
    session = map_model(tiny_model, mapping=mapping, dtype=dtype, shape=(13, 11), positions=80)
    for token in expected.prompt_ids[:-1]:
        session.step(token, head=False)
    for place, token in enumerate((expected.prompt_ids[-1], *expected.token_ids[:15])):
        logits = session.step(token)
        assert logits is not None
        assert logits.dtype == np.float32
        errors = np.abs(logits - expected.logits[place])
        assert errors.max() < 40 * EPSILON[dtype]
        assert errors.max() > EPSILON[dtype] / 8, "nothing was rounded"
        assert float(logits.max()) == logits[session.best]


def test_timing_and_wavelet_engines_agree(tiny_model: Model) -> None:
    session = map_model(tiny_model, dtype="int4", shape=(9, 8), positions=16, wafer="wse3", engine="wavelet")
    result = session.decode([5], 1)
    assert result.cycles_per_token == result.modelled_cycles_per_token


def matrix_body(precision: Precision) -> Body:
    b = Builder("g", 4, 3, reduce="chain", dtype=precision)
    x = b.input("x", (10,), Layout(("y",)))  # block 3
    return b.build(gemv(b, b.matrix("w", (7, 10), Layout(("x", "y"))), x))  # block 3 × 3


@pytest.mark.parametrize(
    ("name", "weights", "activations"),
    [
        ("float32", 9 * 4, (3 + 3) * 4),
        ("bfloat16", 9 * 2, (3 + 3) * 2),
        ("int8", 9 + 3 * 2 * 2, (3 + 3 + 3) * 2),  # two groups for each of three outputs; a dequantised row
        ("int4", 5 + 3 * 2 * 2, (3 + 3 + 3) * 2),  # nine half bytes
    ],
)
def test_bytes_by_hand(name: str, weights: int, activations: int) -> None:
    body = matrix_body(replace(PRESETS[name], group=2))
    program = Program("p", (Call(body, Region(2, 1, 3, 4), ("x",), ("y",)),))
    (parts,) = memory(program, SPEC).by_region.values()
    assert parts == {"weights": weights, "kv_cache": 0, "activations": activations, "runtime": 100}


def test_quantised_weights_cost_a_conversion_and_a_scaling_more_than_float16() -> None:
    steps = {name: matrix_body(PRESETS[name]).steps[0] for name in ("float16", "int8", "int4")}
    assert all(isinstance(step, Local) for step in steps.values())
    cycles = {name: local_cycles(SPEC, step, 1) for name, step in steps.items()}  # type: ignore[arg-type]
    extra = work_cycles(SPEC, (Work("copy", 9, rows=3), Work("add", 9, rows=3)), "float16")
    assert extra > 0
    assert cycles["int8"] == cycles["int4"] == cycles["float16"] + extra


def test_sixteen_bits_halve_the_weights_and_the_cache_and_quicken_the_token(tiny_model: Model) -> None:
    spec = load_wafer("wse3")
    plans = {
        name: make_plan(
            "shared", Request(tiny_model.config, spec, 64, "chain", Estimator(spec), shape=(16, 16), dtype=name)
        )
        for name in PRESETS
    }
    parts = {name: next(iter(plan.memory.by_region.values())) for name, plan in plans.items()}
    rope = 4 * tiny_model.config.head_dim // 2 // 8  # frequencies stay float32, on the eight columns of a head
    assert 2 * (parts["float16"]["weights"] - rope) == parts["float32"]["weights"] - rope
    assert 2 * parts["float16"]["kv_cache"] == parts["float32"]["kv_cache"]
    assert parts["int4"]["weights"] < parts["int8"]["weights"] < parts["float16"]["weights"]
    assert parts["int4"]["kv_cache"] == parts["float16"]["kv_cache"]
    cycles = {name: Estimator(spec).program_cycles(plan.program, 32) for name, plan in plans.items()}
    assert cycles["float16"] == cycles["bfloat16"] < cycles["int8"] == cycles["int4"]
    assert cycles["float16"] < cycles["float32"]


def test_a_model_too_large_in_float32_is_told_that_16_bits_would_do(tiny_model: Model) -> None:
    spec = replace(load_wafer("mini"), sram_bytes=14_000)
    with pytest.raises(WseError, match=r"16-bit weights and cache"):
        map_model(tiny_model, wafer=spec, shape=(16, 16), positions=16)
    assert map_model(tiny_model, wafer=spec, shape=(16, 16), positions=16, dtype="float16").plan.memory.fits


def test_what_cannot_be_computed_is_refused(tiny_model: Model) -> None:
    with pytest.raises(WseError, match=r"the backend jax computes in float32 alone: numpy works with int8"):
        map_model(tiny_model, dtype="int8", backend="jax")
    with pytest.raises(WseError, match=r"unknown precision 'half'"):
        map_model(tiny_model, dtype="half")


def test_weights_beyond_float16_are_refused(tiny_model: Model) -> None:
    class Scaled:
        def __getitem__(self, name: str) -> np.ndarray:
            return np.asarray(tiny_model.weights[name]) * np.float32(1e6 if name == "final_norm" else 1)

    with pytest.raises(WseError, match=r"weight final_norm: up to [\d.e+]+, too large for float16"):
        map_model(replace(tiny_model, weights=Scaled()), shape=(12, 11), dtype="float16")  # type: ignore[arg-type]
    map_model(replace(tiny_model, weights=Scaled()), shape=(12, 11), dtype="bfloat16")  # type: ignore[arg-type]
