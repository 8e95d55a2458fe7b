"""Caches laid in other ways, drafted tokens and streamed weights: against simulations and arithmetic by hand."""

from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_emu.errors import WseError
from wse_emu.hardware import load_wafer
from wse_emu.models.known import load_config
from wse_emu.wafers import Draft, WaferEstimate, Workload, estimate
from wse_emu.wafers.layers import Layers
from wse_emu.wafers.layout import crossing_cycles
from wse_emu.wafers.speculation import round_cycles

WSE3, WSE2 = load_wafer("wse3"), load_wafer("wse2")
LLAMA_8B, LLAMA_70B = load_config("llama-3.1-8b"), load_config("llama-3.1-70b")


def test_a_concatenated_cache_holds_a_row_of_what_others_hold() -> None:
    """As WaferLLM counts (table 5): on 360² PEs, 382 tokens instead of 137,548, 360 times as many."""
    found = {kv: estimate(LLAMA_8B, WSE3, Workload(1, 256, kv=kv)) for kv in ("dealt", "shifted", "concatenated")}
    for kv, one in found.items():
        rows = 1 if kv == "concatenated" else one.region[0]
        free = WSE3.sram_bytes - one.pe_bytes["weights"] - one.pe_bytes["working"]
        slot = one.pe_bytes["kv_cache"] / ceil(256 / rows)
        assert one.kv_capacity_tokens == rows * (free // slot)
    dealt, shifted = found["dealt"], found["shifted"]
    assert dealt.kv_capacity_tokens == shifted.kv_capacity_tokens
    assert shifted.cycles_per_token - dealt.cycles_per_token == shifted.cycles_by_kernel["KV shift"]


def test_a_row_that_holds_all_positions_works_on_all_of_them() -> None:
    rows, cols, inner = 92, 192, 1
    short, long = (Layers(LLAMA_8B, WSE3, Workload(1, context)) for context in (64, 64 * rows))
    concatenated = Layers(LLAMA_8B, WSE3, Workload(1, 64, kv="concatenated"))
    assert concatenated.slots(rows) == long.slots(rows) == 33
    (short_cycles,), (long_cycles,), (cycles,) = (
        one.cycles(rows, cols, inner).values() for one in (short, long, concatenated)
    )
    assert cycles == pytest.approx(long_cycles, rel=0.01)
    assert cycles > short_cycles
    assert concatenated.room(rows, cols, inner).cache == 64 * concatenated.room(rows, cols, inner).slot


def test_a_shift_takes_a_hop_and_the_token_s_wavelets() -> None:
    """Set-up, the wavelets of a slot on a link of 9/8 cycles each, ramps, and a hop of the interleaved ring."""
    layers = Layers(LLAMA_8B, WSE3, Workload(1, 64, kv="shifted"))
    room = layers.room(92, 192, 1)
    cycles, wavelets = layers.shift_cycles(92, 192, 1), ceil(room.slot / 4)
    least = ceil(wavelets * 9 / 8) + 2 * WSE3.ramp_cycles + WSE3.hop_cycles
    assert least <= cycles <= least + 2 * WSE3.stream_setup + 5 * WSE3.hop_cycles


@settings(max_examples=30, deadline=None)
@given(tokens=st.integers(1, 8), acceptance=st.floats(0, 1), seed=st.integers(0, 99))
def test_tokens_of_a_round_are_those_of_a_simulation(tokens: int, acceptance: float, seed: int) -> None:
    kept = np.random.default_rng(seed).random((20_000, tokens)) < acceptance
    simulated = 1 + np.cumprod(kept, axis=1).sum(axis=1)
    expected = Draft(LLAMA_8B, tokens, acceptance).tokens_per_round
    assert simulated.mean() == pytest.approx(expected, abs=6 * max(simulated.std(), 0.01) / 20_000**0.5)
    if acceptance < 1:
        assert expected == pytest.approx((1 - acceptance ** (tokens + 1)) / (1 - acceptance)), "equation 1"


@given(
    stages=st.lists(st.integers(1, 50), min_size=1, max_size=8),
    drafted=st.integers(1, 6),
    small=st.integers(1, 60),
    crossing=st.integers(0, 9),
)
def test_a_round_is_that_of_tokens_that_follow_each_other(
    stages: list[int], drafted: int, small: int, crossing: int
) -> None:
    """A token enters a stage when it has left the one before and the token before it has left this one."""
    free = [0] * len(stages)
    for _ in range(drafted + 1):
        time = drafted * small + crossing
        for i, cycles in enumerate(stages):
            time = free[i] = max(time, free[i]) + cycles
    large = _estimate(sum(stages), max(stages))
    found = round_cycles(large, _estimate(small, small), Draft(LLAMA_8B, drafted), crossing)
    assert found == free[-1] + crossing


def _estimate(cycles: float, interval: float) -> WaferEstimate:
    known = WaferEstimate("", 1, (1, 1), 1, 1, {}, "", {}, 1, 1, 1, 0, 1)
    return replace(known, cycles_per_token=cycles, interval_cycles=interval)


def test_drafting_helps_where_stages_work_at_once() -> None:
    alone, helped = estimate(LLAMA_70B, WSE3, Workload()), estimate(LLAMA_70B, WSE3, Workload(), draft=Draft(LLAMA_8B))
    small = estimate(LLAMA_8B, WSE3, Workload())
    assert helped.wafers == alone.wafers + small.wafers
    assert helped.mapping == "pipeline"
    crossing = crossing_cycles(LLAMA_8B, WSE3, "float16")
    round_ = 4 * small.cycles_per_token + helped.cycles_per_token + 4 * helped.interval_cycles + 2 * crossing
    expected = (1 - 0.8**5) / (1 - 0.8) * WSE3.clock_hz / round_
    assert helped.tokens_per_second_per_user == pytest.approx(expected)
    assert helped.tokens_per_second_per_user > 1.3 * alone.tokens_per_second_per_user
    never = estimate(LLAMA_70B, WSE3, Workload(), draft=Draft(LLAMA_8B, acceptance=0))
    assert never.tokens_per_second_per_user < alone.tokens_per_second_per_user


def test_many_users_gain_nothing_from_drafts_that_fill_the_stages() -> None:
    asked = Workload(600, 128)
    alone, helped = (estimate(LLAMA_70B, WSE3, asked, draft=draft) for draft in (None, Draft(LLAMA_8B)))
    assert alone.bubbles < 0.05
    assert helped.tokens_per_second_total < alone.tokens_per_second_total


def test_weights_that_find_no_place_come_in_over_the_edge() -> None:
    """70 billion parameters at 1.2 Tb/s: what does not lie on the wafer, for every token."""
    one, two = (estimate(LLAMA_70B, WSE3, Workload(1, 4096), wafers) for wafers in (1, 2))
    assert (one.mapping, one.wafers, one.bound_by) == ("streamed", 1, "weights streamed in over the edge")
    rows, cols = one.region
    resident = one.pe_bytes["weights"] * rows * cols
    least = 2 * (LLAMA_70B.parameters - 2 * 128256 * 8192) - resident
    assert 1 / one.tokens_per_second_per_user == pytest.approx(8 * least / 1.2e12, rel=0.03)
    assert two.tokens_per_second_per_user > 1.2 * one.tokens_per_second_per_user
    assert estimate(LLAMA_70B, WSE3, Workload(1, 4096)).mapping != "streamed", "enough wafers hold them"


def test_one_pass_of_streamed_weights_serves_all_users() -> None:
    one, four = (estimate(LLAMA_70B, WSE3, Workload(users, 4096), 1) for users in (1, 4))
    assert four.tokens_per_second_total > 3 * one.tokens_per_second_total
    assert four.tokens_per_second_per_user < one.tokens_per_second_per_user, "caches leave less room for weights"


@pytest.mark.parametrize(
    ("draft", "wafers", "said"),
    [
        (Draft(LLAMA_8B, 0), None, "0 drafted tokens: at least 1 works"),
        (Draft(LLAMA_8B, 4, 1.5), None, "an acceptance of 1.5: a share from 0 to 1 works"),
        (Draft(load_config("qwen3-32b")), None, "vocabulary of 151,936, the model one of 128,256"),
        (Draft(LLAMA_8B), 1, "the draft takes 1 of its own; at least 2 work"),
    ],
)
def test_drafts_that_help_nobody(draft: Draft, wafers: int | None, said: str) -> None:
    with pytest.raises(WseError, match=said):
        estimate(LLAMA_70B, WSE3, Workload(), wafers, draft)


def test_an_unknown_cache() -> None:
    with pytest.raises(WseError, match="KV cache 'round': what works: dealt, shifted, concatenated"):
        estimate(LLAMA_8B, WSE3, Workload(kv="round"))
