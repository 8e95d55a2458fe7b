"""A mixture of experts against plain loops over the chosen, in float64."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.running import BACKENDS, REDUCTIONS, Running, close, normal
from wse_emu.engines.assembly import assemble_body
from wse_emu.engines.backend import load_backend
from wse_emu.engines.numeric import arrange
from wse_emu.engines.timing import BodyClock
from wse_emu.engines.wavelet import Machine
from wse_emu.hardware import load_wafer
from wse_emu.kernels.moe import SharedExpert, Stacks, mixture, route
from wse_emu.models.experts import Experts
from wse_emu.program import Body, Builder, Layout

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    experts: Experts
    n: int
    rows: int
    cols: int
    algorithm: str
    seed: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    count = draw(st.integers(1, 7))
    shared, bias = draw(st.integers(0, 9)), draw(st.booleans())
    experts = Experts(
        count,
        draw(st.integers(1, count)),
        draw(st.integers(1, 11)),
        norm_topk=draw(st.booleans()),
        shared_intermediate=shared,
        shared_gate=shared > 0 and draw(st.booleans()),
        bias=bias,
        clamp=draw(st.sampled_from([None, 0.5])),
        alpha=draw(st.sampled_from([1.0, 1.702])),
    )
    sides = st.integers(1, 7)
    algorithm = draw(st.sampled_from(REDUCTIONS))
    return Case(experts, draw(st.integers(1, 15)), draw(sides), draw(sides), algorithm, draw(st.integers(0, 2**32 - 1)))


def body(case: Case, dtype: str = "float32") -> Body:
    experts, n = case.experts, case.n
    count, f, s = experts.count, experts.intermediate, experts.shared_intermediate
    b = Builder("moe", case.rows, case.cols, reduce=case.algorithm, dtype=dtype)
    x = b.input("x", (n,), Layout(("y",)))
    router, bias = b.weight("router", (count, n), Layout(("x", "y"))), None
    inward = b.matrix("inward", (count, 2, f, n), Layout((None, None, "x", "y")), stacked=True)
    held = Stacks(inward, b.matrix("down", (count, n, f), Layout((None, "y", "x")), stacked=True))
    if experts.bias:
        bias = b.weight("router_bias", (count,), Layout(("x",)))
        wide = b.weight("inward_bias", (count, 2, f), Layout((None, None, "x")))
        held = Stacks(held.inward, held.down, wide, b.weight("down_bias", (count, n), Layout((None, "y"))))
    shared = None
    if s:
        gate = b.weight("gate", (1, n), Layout((None, "y"))) if experts.shared_gate else None
        wide = b.matrix("shared_inward", (2, s, n), Layout((None, "x", "y")))
        shared = SharedExpert(wide, b.matrix("shared_down", (n, s), Layout(("y", "x"))), gate)
    weights, chosen = route(b, router, x, experts, bias)
    return b.build(mixture(b, experts, held, x, weights, chosen, shared=shared), chosen)


def tensors(case: Case) -> Tensors:
    """Matrices as (in, out), stacks of them with the experts in front."""
    rng, experts, n = np.random.default_rng(case.seed), case.experts, case.n
    count, f, s = experts.count, experts.intermediate, experts.shared_intermediate
    made = {"router": normal(rng, n, count), "inward": normal(rng, count, n, 2 * f), "down": normal(rng, count, f, n)}
    if experts.bias:
        made |= {"router_bias": normal(rng, count), "inward_bias": normal(rng, count, 2, f)}
        made |= {"down_bias": normal(rng, count, n)}
    if s:
        made |= {"shared_inward": normal(rng, n, 2 * s), "shared_down": normal(rng, s, n)}
    return made | {"gate": normal(rng, n, 1)} if experts.shared_gate else made


def silu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.asarray(x / (1 + np.exp(-alpha * x)))


def expected(experts: Experts, given: Tensors, x: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """One expert after another; each has its own row of every bias."""
    held = {name: array.astype(np.float64) for name, array in given.items()}
    count, f, s = experts.count, experts.intermediate, experts.shared_intermediate
    logits = x @ held["router"] + held.get("router_bias", 0)
    order = sorted(range(count), key=lambda i: -logits[i])[: experts.active]
    shares = np.exp(logits - logits.max())
    shares /= shares[order].sum() if experts.norm_topk else shares.sum()
    total = np.zeros(len(x))
    for expert in order:
        bias = held["inward_bias"][expert] if experts.bias else np.zeros((2, f))
        gate, up = x @ held["inward"][expert][:, :f] + bias[0], x @ held["inward"][expert][:, f:] + bias[1]
        if experts.clamp is None:
            inner = silu(gate) * up
        else:
            low, high = -experts.clamp, experts.clamp
            inner = (np.clip(up, low, high) + 1) * silu(np.minimum(gate, high), experts.alpha)
        out = inner @ held["down"][expert] + (held["down_bias"][expert] if experts.bias else 0)
        total += shares[expert] * out
    if s:
        wide = x @ held["shared_inward"]
        share = 1 / (1 + np.exp(-(x @ held["gate"]))) if experts.shared_gate else 1
        total += share * ((silu(wide[:s]) * wide[s:]) @ held["shared_down"])
    return total, order


def check(backend: str, case: Case) -> None:
    given = tensors(case)
    x = normal(np.random.default_rng(case.seed + 1), case.n)
    y, chosen = Running(backend, body(case), given)({"x": x})
    total, order = expected(case.experts, given, x.astype(np.float64))
    assert chosen.tolist() == order
    close(y, total, 1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_a_mixture_is_the_weighted_sum_of_its_experts(backend: str, case: Case) -> None:
    check(backend, case)


QWEN = Case(Experts(6, 3, 5, norm_topk=False, shared_intermediate=8, shared_gate=True), 13, 4, 3, "ktree:2", 7)
OSS = Case(Experts(5, 2, 9, bias=True, clamp=0.5, alpha=1.702), 11, 3, 5, "two_way", 8)


@pytest.mark.slow
@pytest.mark.parametrize("case", [QWEN, OSS], ids=["qwen2_moe", "gpt_oss"])
def test_a_mixture_on_jax(case: Case) -> None:
    check("jax", case)


def test_of_equal_logits_the_first_experts_are_chosen() -> None:
    b = Builder("route", 2, 3, reduce="chain")
    x, router = b.input("x", (4,), Layout(("y",))), b.weight("router", (5, 4), Layout(("x", "y")))
    found = b.build(*route(b, router, x, Experts(5, 3, 1, norm_topk=False)))
    weights, chosen = Running("numpy", found, {"router": np.ones((4, 5), np.float32)})({"x": np.ones(4, np.float32)})
    assert chosen.tolist() == [0, 1, 2]
    np.testing.assert_allclose(weights, [0.2] * 3, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(case=cases(), spread=st.sampled_from((0, 30)), dtype=st.sampled_from(("float32", "float16", "int4")))
def test_both_engines_give_the_same_cycles_and_wavelets(case: Case, spread: int, dtype: str) -> None:
    spec, made = load_wafer("wse3"), body(case, dtype)
    start = np.random.default_rng(case.seed).integers(0, spread + 1, (case.rows, case.cols))
    found = Machine(assemble_body(made, spec), start).run()
    clock = BodyClock(spec, made, start, 1)
    clock.run()
    np.testing.assert_array_equal(found.links, clock.links)
    if not found.crowded:
        np.testing.assert_array_equal(found.clock, clock.clock + clock.offset)


@pytest.mark.parametrize("dtype", ["float32", "int8", "int4"])
def test_a_stack_is_stored_as_its_matrices_are(dtype: str) -> None:
    case, backend = OSS, load_backend("numpy")
    inward = next(value for value in body(case, dtype).weights if value.name == "inward")
    stack = tensors(case)["inward"]
    b = Builder("one", case.rows, case.cols, dtype=dtype)
    one = b.matrix("one", inward.shape[1:], Layout((None, "x", "y")))
    expected = [arrange(backend, one, matrix, 2) for matrix in stack]
    np.testing.assert_array_equal(arrange(backend, inward, stack, 2), expected)
    assert inward.block_bytes == case.experts.count * one.block_bytes


def test_cycles_grow_with_the_active_experts_and_bytes_with_all_of_them() -> None:
    """Twice as many active experts take less than twice the cycles, twice as many held hardly more."""

    def measured(count: int, active: int) -> tuple[int, int]:
        made = body(replace(QWEN, experts=Experts(count, active, 64), n=64))
        clock = BodyClock(load_wafer("wse3"), made, np.zeros((4, 3), np.int64), 1)
        clock.run()
        held = sum(value.block_bytes for value in made.weights if value.stacked)
        return int(clock.clock.max()) + clock.offset, held

    few, more, larger = measured(8, 2), measured(8, 4), measured(16, 2)
    assert 1.5 < more[0] / few[0] < 2
    assert 1 < larger[0] / few[0] < 1.05
    assert (more[1], larger[1]) == (few[1], 2 * few[1])
