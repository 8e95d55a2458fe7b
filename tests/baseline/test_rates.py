"""Rates, energy and cost of GPUs."""

from dataclasses import replace

import pytest

from tests.baseline.shapes import LLAMA_8B, LLAMA_70B
from wse_emu.baseline import baselines, cluster, decode_rate, gpu_format, model_work, prefill_rate
from wse_emu.baseline.cost import gpu_joules
from wse_emu.baseline.step import decode_step
from wse_emu.errors import WseError
from wse_emu.hardware import gpu_names, load_gpu
from wse_emu.program.precision import PRESETS

WORK, BIG = model_work(LLAMA_8B), model_work(LLAMA_70B)


def test_every_preset_has_a_rate() -> None:
    rates = baselines(WORK, position=99)
    assert tuple(rate.gpu for rate in rates) == gpu_names()
    for rate in rates:
        step = decode_step(WORK, cluster(load_gpu(rate.gpu)), context=99)
        assert rate.tokens_per_second_total == rate.tokens_per_second_per_user == pytest.approx(1 / step.seconds)
        assert (rate.gpus, rate.bound_by, rate.level) == (1, "HBM", "estimate")


def test_as_many_gpus_as_hold_it() -> None:
    """Llama-3.1-70B: 141 GB of weights; 64 × 8,192 positions of 320 KiB are 172 GB more; four A100s: 320 GB."""
    assert [rate.gpus for rate in baselines(BIG)] == [2, 2, 2, 1, 1, 1]
    many = baselines(BIG, users=64, position=4096, context=8192)
    assert [rate.gpus for rate in many] == [4, 4, 4, 2, 2, 2]
    for rate in many:
        assert rate.tokens_per_second_total == pytest.approx(64 * rate.tokens_per_second_per_user)
        step = decode_step(BIG, cluster(load_gpu(rate.gpu), rate.gpus), batch=64, context=4096)
        assert rate.tokens_per_second_total == pytest.approx(64 / step.seconds), "halfway through the context"


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(WseError, match="0 users: at least 1 works"):
        baselines(BIG, users=0)
    with pytest.raises(WseError, match="llama with 1 × 0 tokens of cache does not fit 1 A100: more GPUs"):
        decode_rate(BIG, cluster(load_gpu("A100")))
    with pytest.raises(WseError, match="llama with 2 × 100 tokens of cache does not fit 1 H100"):
        prefill_rate(BIG, cluster(load_gpu("H100")), length=100, users=2)


@pytest.mark.parametrize("precision", PRESETS.values(), ids=str)
def test_every_precision_of_a_wafer_is_one_of_a_gpu(precision: object) -> None:
    from wse_emu.baseline.constants import FORMATS
    from wse_emu.program.precision import ITEMSIZE, Precision

    assert isinstance(precision, Precision)
    kept = FORMATS[gpu_format(precision)]
    assert kept.activation_bytes == ITEMSIZE[precision.activations]
    assert kept.bytes == pytest.approx(float(precision.weight_bytes), rel=0.12), "scales are kept a little differently"


def test_energy_and_cost_by_hand() -> None:
    on = cluster(load_gpu("A100"), 8)
    step = decode_step(WORK, on, batch=16, context=1000)
    rate = decode_rate(WORK, on, users=16, position=1000)
    assert rate.joules_per_token == pytest.approx(8 * 400 * step.seconds / 16)
    parts = 8 * 54 * step.seconds + step.hbm_bytes * 8 * 13.11e-12 + step.flops * 0.7e-12
    assert rate.joules_per_token_by_part == pytest.approx(parts / 16)
    assert rate.usd_per_million_tokens is not None
    assert rate.usd_per_million_tokens == pytest.approx(8 * 1.39 / 3600 * step.seconds / 16 * 1e6)
    dearer = replace(on, gpu=replace(on.gpu, usd_per_hour=2.78))
    other = decode_rate(WORK, dearer, users=16, position=1000)
    assert other.usd_per_million_tokens == pytest.approx(2 * rate.usd_per_million_tokens)


def test_unknown_prices_and_parts_are_none() -> None:
    rate = decode_rate(WORK, cluster(load_gpu("GB200")))
    assert (rate.usd_per_million_tokens, rate.joules_per_token_by_part) == (None, None)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_measured_parts_stay_below_the_datasheets_power(count: int) -> None:
    for users in (1, 32):
        rate = decode_rate(WORK, cluster(load_gpu("A100"), count), users=users, position=1000)
        assert rate.joules_per_token_by_part is not None
        assert rate.joules_per_token_by_part < rate.joules_per_token


@pytest.mark.parametrize(
    ("gpus", "gpu_rate", "wafer_rate", "ratio"),
    [  # waferllm_osdi25_tables.csv: tables 4 and 8, then 3 and 7, LLaMA3-8B
        (1, 78.9, 2699.9, 0.92),
        (8, 260.4, 2699.9, 2.22),
        (16, 164.6, 2699.9, 7.02),
        (1, 13988.3, 27686.5, 0.05),
        (8, 17361.6, 27686.5, 0.34),
        (16, 13994.2, 27686.5, 0.84),
    ],
)
def test_energy_ratios_that_waferllm_prints(gpus: int, gpu_rate: float, wafer_rate: float, ratio: float) -> None:
    """By a WSE-2 of 15 kW (energy.csv: implied by its Table 6) and A100s at their datasheet's power."""
    joules = gpu_joules(load_gpu("A100"), gpus, 1 / gpu_rate, 1)
    assert joules / (15e3 / wafer_rate) == pytest.approx(ratio, abs=0.011, rel=0.02)
