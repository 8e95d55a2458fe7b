"""The terms of a pass by hand, and what must hold of every one."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.baseline.shapes import LLAMA_8B, LLAMA_70B, MIXTRAL, SMOLLM2
from wse_emu.baseline import ModelWork, cluster, constants, fewest, model_work
from wse_emu.baseline.constants import FORMATS
from wse_emu.baseline.step import decode_step, prefill_step
from wse_emu.baseline.work import Cache, Experts
from wse_emu.errors import WseError
from wse_emu.hardware import GpuSpec, load_gpu, load_gpus

WORK = ModelWork("mine", 10, 1000, layer_parameters=8e9, head_parameters=1e9, embedding_parameters=1e9)
FIGURES = constants()
gpus = st.sampled_from(load_gpus())
counts = st.sampled_from([1, 2, 4, 8, 16, 32])
formats = st.sampled_from(sorted(FORMATS))


def test_one_request_is_bound_by_hbm() -> None:
    step = decode_step(WORK, cluster(load_gpu("H100")))
    assert step.hbm == pytest.approx(18e9 / (FIGURES.hbm_share * 3.35e12))
    assert step.launches == pytest.approx(62 * FIGURES.gpt_fast_kernel)
    assert (step.arithmetic, step.all_reduce, step.bound_by) == (0, 0, "HBM")
    assert step.seconds == step.hbm + step.launches
    assert (step.hbm_bytes, step.flops) == (18e9, 18e9)


def test_many_requests_are_bound_by_arithmetic() -> None:
    step = decode_step(WORK, cluster(load_gpu("H100")), batch=4096)
    assert step.arithmetic == pytest.approx(2 * 9e9 * 4096 / (FIGURES.flop_share * 989e12))
    assert (step.hbm, step.bound_by) == (0, "arithmetic")


@pytest.mark.parametrize(
    ("weights", "gpu", "share", "size"),
    [
        ("int8", "A100", FIGURES.int8_share, 1),
        ("int4", "A100", FIGURES.int4_share, 0.625),
        ("fp32", "A100", 1, 4),
        ("fp8", "H100", 1, 1),
        ("fp8", "A100", FIGURES.int8_share, 1),  # which has no FP8 and dequantises
    ],
)
def test_smaller_weights_are_read_faster_but_for_dequantisation(
    weights: str, gpu: str, share: float, size: float
) -> None:
    on = cluster(load_gpu(gpu), weights=weights)
    read = 9e9 * size / (FIGURES.hbm_share * share * load_gpu(gpu).hbm_bytes_per_second)
    assert decode_step(WORK, on).hbm == pytest.approx(read)


def test_formats_multiply_at_their_own_peaks() -> None:
    for gpu, weights, peak in (("H100", "fp8", 1979e12), ("A100", "fp8", 312e12), ("A100", "fp32", 156e12)):
        step = decode_step(WORK, cluster(load_gpu(gpu), weights=weights), batch=8192)
        assert step.arithmetic == pytest.approx(2 * 9e9 * 8192 / (FIGURES.flop_share * peak))


def test_eight_gpus_share_layers_and_sum_by_all_reduces() -> None:
    """gpt-fast gives every GPU the head; NCCL's 20.6 µs for eight A100s (gpu_collective_latency.csv), two a layer."""
    step = decode_step(WORK, cluster(load_gpu("A100"), 8, serving="gpt-fast"))
    assert step.hbm == pytest.approx((16e9 / 8 + 2e9) / (FIGURES.hbm_share * 2.039e12))
    assert step.all_reduce == pytest.approx(20 * (20.6e-6 + 2 * 7 / 8 * 1000 * 2 / (0.75 * 300e9)))
    split = decode_step(WORK, cluster(load_gpu("A100"), 8))
    assert split.hbm == pytest.approx(18e9 / 8 / (FIGURES.hbm_share * 2.039e12))


@pytest.mark.parametrize(
    ("gpu", "count", "microseconds"),
    [
        ("A100", 1, 0),
        ("A100", 2, 20.6 - 12 * 0.6),  # twelve ring steps fewer than eight GPUs take
        ("GB200", 4, 11.0),
        ("H100", 8, 20.6),  # nothing is published for it
        ("A100", 16, FIGURES.sglang_two_nodes * 1e6),
        ("A100", 32, 2 * FIGURES.sglang_two_nodes * 1e6),
    ],
)
def test_small_all_reduces_take_what_was_measured(gpu: str, count: int, microseconds: float) -> None:
    on = cluster(load_gpu(gpu), count)
    assert on.all_reduce(0, 4096) * 1e6 == pytest.approx(microseconds)


def test_the_cache_is_read_by_every_request() -> None:
    """Llama-3.1-8B keeps 2 × 32 layers × 1,024 numbers of 2 bytes for a position: 128 KiB."""
    work, on = model_work(LLAMA_8B), cluster(load_gpu("H200"))
    more = decode_step(work, on, batch=4, context=50_000).hbm - decode_step(work, on, batch=4, context=0).hbm
    assert more == pytest.approx(4 * 50_000 * 131_072 / (FIGURES.hbm_share * 4.8e12))
    wide = cluster(load_gpu("H200"), weights="fp32")
    assert decode_step(work, wide, batch=4, context=50_000).hbm == pytest.approx(
        2 * decode_step(work, on, batch=4, context=50_000).hbm
    )


def test_a_cache_of_few_heads_is_kept_several_times() -> None:
    cache = replace(WORK, caches=(Cache(1000, 0, shards=2),))
    two, eight = (cluster(load_gpu("A100"), n).held_bytes(cache, 1, 1e6) for n in (2, 8))
    assert two - cluster(load_gpu("A100"), 2).held_bytes(WORK, 1, 0) == pytest.approx(1e9)
    assert eight - cluster(load_gpu("A100"), 8).held_bytes(WORK, 1, 0) == pytest.approx(1e9)


def test_a_window_bounds_the_cache() -> None:
    work = replace(WORK, caches=(Cache(1000, 0, window=4096),))
    near, far = (decode_step(work, cluster(load_gpu("A100")), context=n).hbm for n in (4096, 1_000_000))
    assert near == far > decode_step(work, cluster(load_gpu("A100")), context=100).hbm


def test_prefill_by_hand() -> None:
    """Every weight twice a token, the head once; four FLOP for each number of a query and position that it sees."""
    step = prefill_step(model_work(LLAMA_8B), cluster(load_gpu("A100")), length=4096)
    layers = 32 * (2 * 4096 * (4096 + 1024) + 3 * 4096 * 14336 + 2 * 4096)
    flops = 2 * layers * 4096 + 4 * 32 * 4096 * 4096 * 4097 / 2
    assert step.arithmetic == pytest.approx(flops / (FIGURES.flop_share * 312e12), rel=1e-6)
    assert step.bound_by == "arithmetic"
    assert step.hbm == pytest.approx(2 * (128256 + 1) * 4096 / (FIGURES.hbm_share * 2.039e12))  # the head's


def test_of_a_mixture_few_experts_are_read_for_one_token_and_all_for_many() -> None:
    work, on = model_work(MIXTRAL, experts=(8, 2)), cluster(load_gpu("MI300X"))
    mlp = 2 * 3 * 4096 * 14336 * 32
    read = [decode_step(work, on, batch=batch).hbm_bytes for batch in (1, 2, 4, 64)]
    beside = read[0] - 2 * mlp
    assert [(one - beside) / mlp for one in read] == pytest.approx([2, 3.5, 8 * (1 - 0.75**4), 8], rel=1e-6)


def test_a_mixture_is_faster_than_a_dense_model_of_its_size_until_the_batch_grows() -> None:
    moe, on = model_work(MIXTRAL, experts=(8, 2)), cluster(load_gpu("MI300X"))
    dense = replace(moe, experts=None, layer_parameters=moe.layer_parameters + moe.expert_parameters)
    assert decode_step(moe, on).hbm < 0.35 * decode_step(dense, on).hbm
    assert decode_step(moe, on, batch=32).hbm == pytest.approx(decode_step(dense, on, batch=32).hbm, rel=0.01)


def test_small_models_are_bound_by_launches() -> None:
    step = decode_step(model_work(SMOLLM2), cluster(load_gpu("H100")))
    assert step.bound_by == "launches"
    assert step.launches == pytest.approx(182 * FIGURES.gpt_fast_kernel)


@given(gpu=gpus, count=counts, weights=formats, batch=st.integers(1, 2000), context=st.integers(0, 100_000))
def test_more_gpus_read_no_slower(gpu: GpuSpec, count: int, weights: str, batch: int, context: int) -> None:
    def terms(gpus: int) -> float:
        step = decode_step(model_work(LLAMA_70B), cluster(gpu, gpus, weights=weights), batch=batch, context=context)
        return step.hbm + step.arithmetic

    assert terms(2 * count) <= terms(count) * (1 + 1e-9)


@given(gpu=gpus, count=counts, weights=formats, batch=st.integers(1, 4000), moe=st.booleans())
def test_more_requests_give_more_tokens_up_to_the_arithmetic(
    gpu: GpuSpec, count: int, weights: str, batch: int, moe: bool
) -> None:
    on, work = cluster(gpu, count, weights=weights), model_work(MIXTRAL, experts=(8, 2) if moe else None)

    def rate(requests: int) -> float:
        return requests / decode_step(work, on, batch=requests, context=500).seconds

    bound = on.flops() * count / (2 * work.read_parameters(1))
    assert rate(batch) <= rate(batch + 1) * (1 + 1e-9)
    assert rate(batch + 1) <= bound
    assert decode_step(work, on, batch=batch).seconds <= decode_step(work, on, batch=batch + 1).seconds * (1 + 1e-9)


@given(experts=st.integers(1, 64), batch=st.integers(1, 300))
def test_experts_read_grow_with_the_batch(experts: int, batch: int) -> None:
    work = replace(WORK, experts=Experts(64, experts, 1e7, 10))
    on = cluster(load_gpu("B200"))
    bytes_read = [decode_step(work, on, batch=b).hbm_bytes - 18e9 for b in (batch, batch + 1)]
    assert bytes_read[0] <= bytes_read[1] * (1 + 1e-9)
    assert bytes_read[1] <= 2 * work.expert_parameters * (1 + 1e-9)


def test_the_fewest_gpus_that_hold_a_model() -> None:
    """Llama-3.1-70B: 141 GB in 16 bits, 71 in 8; Mixtral-8x7B 93 GB, all experts counted."""
    big = model_work(LLAMA_70B)

    def held(gpu: str, work: ModelWork, **asked: Any) -> list[tuple[int, int]]:
        return [(on.count, replicas) for on, replicas in fewest(load_gpu(gpu), work, **asked)]

    assert [held(name, big) for name in ("A100", "H200", "B200")] == [[(2, 1)], [(2, 1)], [(1, 1)]]
    assert held("A100", big, weights="int8") == [(1, 1)]
    assert held("A100", big, users=64, context=8192) == [(4, 1)]
    assert held("A100", model_work(MIXTRAL, experts=(8, 2))) == [(2, 1)]
    with pytest.raises(WseError, match="1,024 A100 do not hold it"):
        fewest(load_gpu("A100"), big, users=10**6, context=10**6)


def test_replicas_share_the_users() -> None:
    """162 GB of weights and 200 caches of 1 GB: four H200s (564 GB) as one, or two that have the weights each."""
    work = replace(WORK, layer_parameters=79e9, caches=(Cache(500_000, 0, shards=64),))
    held = fewest(load_gpu("H200"), work, users=200, context=1000)
    assert [(on.count, replicas) for on, replicas in held] == [(4, 1), (2, 2)]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"count": 0}, "0 GPUs: from 1 to 1024 work"),
        ({"weights": "int3"}, "weights 'int3': fp32, bf16, fp16, fp8, int8, int4 work"),
        ({"serving": "mine"}, "serving program 'mine': compiled, gpt-fast, SGLang"),
    ],
)
def test_clusters_that_there_are_not(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(WseError, match=message):
        cluster(load_gpu("A100"), **bad)


@pytest.mark.parametrize("bad", [{"batch": 0}, {"context": -1}, {"context": float("inf")}, {"context": float("nan")}])
def test_batches_that_there_are_not(bad: dict[str, Any]) -> None:
    with pytest.raises(WseError, match="requests from 1, positions from 0 work"):
        decode_step(WORK, cluster(load_gpu("A100")), **bad)
    with pytest.raises(WseError, match="a prefill of 0 tokens"):
        prefill_step(WORK, cluster(load_gpu("A100")), length=0)
