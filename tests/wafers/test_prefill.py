"""Prefills of models of any size: WaferLLM's table 3, and what follows from a layer's cycles."""

import json
from dataclasses import replace

import pytest

from tests.test_cli import Run, run  # noqa: F401  (a fixture)
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import load_wafer
from wse_emu.models.known import load_config
from wse_emu.wafers.prefill import estimate_prefill

WSE2, WSE3 = load_wafer("wse2"), load_wafer("wse3")
LLAMA = load_config("llama-3.1-8b")
"""LLaMA3-8B has the same layers."""
TABLE_3 = {480: 20320.6, 600: 25037.2, 720: 27686.5}
"""Tokens/s of 4,096 tokens by edge of the grid, on a WSE-2 at 1.1 GHz."""


@pytest.mark.parametrize(("edge", "error"), [(480, -0.004), (600, 0.046), (720, -0.041)])
def test_errors_of_waferllms_table_3(edge: int, error: float) -> None:
    spec = replace(WSE2, clock_hz=1.1e9)
    found = estimate_prefill(LLAMA, spec, "float16", 4096, edge=edge)
    assert found.tokens_per_second / TABLE_3[edge] - 1 == pytest.approx(error, abs=0.001)
    assert found.wafers == 1


def test_the_best_square_is_no_slower_than_those_of_the_paper() -> None:
    best = estimate_prefill(LLAMA, WSE2, "float16", 4096)
    rates = {edge: estimate_prefill(LLAMA, WSE2, "float16", 4096, edge=edge).tokens_per_second for edge in TABLE_3}
    assert best.tokens_per_second >= max(rates.values())


def test_the_rate_follows_from_the_layer() -> None:
    one = estimate_prefill(LLAMA, WSE3, "float16", 1000)
    assert one.cycles == 32 * one.layer_cycles
    assert one.tokens_per_second == pytest.approx(1000 * WSE3.clock_hz / one.cycles)
    assert one.pe_bytes <= WSE3.sram_bytes


def test_a_longer_prompt_is_read_faster_and_takes_longer() -> None:
    short, long = (estimate_prefill(LLAMA, WSE3, "float16", tokens) for tokens in (256, 8192))
    assert short.tokens_per_second < long.tokens_per_second
    assert short.cycles < long.cycles


def test_weights_that_need_more_wafers_pass_their_edges() -> None:
    config = load_config("llama-3.1-70b")
    found = estimate_prefill(config, WSE3, "float16", 2048)
    way = (16 * 2048 * config.hidden / WSE3.edge_bits_per_second + WSE3.edge_latency_seconds) * WSE3.clock_hz
    assert found.cycles == pytest.approx(80 * found.layer_cycles + (found.wafers - 1) * way)
    with pytest.raises(WseError, match=rf"too many for {found.wafers - 1} wse3: {found.wafers} work"):
        estimate_prefill(config, WSE3, "float16", 2048, wafers=found.wafers - 1)


def test_what_cannot_be_estimated() -> None:
    with pytest.raises(WseError, match="a prompt of 0 tokens: 1 to 131,072, the model's context, work"):
        estimate_prefill(LLAMA, WSE3, "float16", 0)
    with pytest.raises(WseError, match="a prompt of 200,000 tokens"):
        estimate_prefill(LLAMA, WSE3, "float16", 200_000)
    with pytest.raises(WseError, match="dense Llama-like layers; mixtral has experts"):
        estimate_prefill(load_config("mixtral-8x7b"), WSE3, "float16", 100)
    with pytest.raises(WseError, match="known in float32, float16, bfloat16, not in int4"):
        estimate_prefill(LLAMA, WSE3, "int4", 100)
    with pytest.raises(WseError, match=r"a prefill on 900² PEs: wse3 has 755×1170 PEs"):
        estimate_prefill(LLAMA, WSE3, "float16", 100, edge=900)
    with pytest.raises(WseError, match=r"bytes on each of 16² PEs for one layer .* a larger wafer works"):
        estimate_prefill(LLAMA, load_wafer("mini"), "float16", 100)
    with pytest.raises(WseError, match="a shorter prompt works"):
        estimate_prefill(replace(LLAMA, context=10**7), WSE3, "float16", 10**6)


def test_an_estimate_with_a_prompt(run: Run) -> None:  # noqa: F811
    code, out, _ = run("estimate", "--model", "llama-3.1-8b", "--prompt", "4096", "--json")
    assert code == 0
    report = json.loads(out)
    found = estimate_prefill(LLAMA, WSE3, "float16", 4096, wafers=1)
    assert report["prefill_tokens_per_second"] == pytest.approx(found.tokens_per_second)
    first = found.cycles + report["cycles_per_token"]
    assert report["time_to_first_token_seconds"] == pytest.approx(first / WSE3.clock_hz)
    assert report["prefill"]["edge"] == found.edge
    code, out, _ = run("estimate", "--model", "llama-3.1-8b", "--prompt", "4096")
    assert "time to first token" in out


def test_an_estimate_without_a_prompt_says_nothing_of_it(run: Run) -> None:  # noqa: F811
    _, out, _ = run("estimate", "--model", "llama-3.1-8b", "--json")
    assert json.loads(out)["prefill"] is None
    code, _, err = run("estimate", "--model", "llama-3.1-8b", "--prompt", "0")
    assert (code, err.count("\n")) == (2, 1)
