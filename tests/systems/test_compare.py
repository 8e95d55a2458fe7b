"""A wafer beside GPUs: rows against their own models, who is ahead, and where the wafer loses."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_emu.baseline import cluster, decode_rate, model_work, prefill_rate
from wse_emu.errors import WseError
from wse_emu.hardware import GpuSpec, load_gpu, load_wafer
from wse_emu.models.known import load_config
from wse_emu.systems import Asked, Comparison, SystemRow, compare_systems
from wse_emu.systems.rows import Phase, with_ahead
from wse_emu.wafers import Workload, estimate
from wse_emu.wafers.prefill import estimate_prefill

CONFIG, WSE3, MINI = load_config("llama-3.1-8b"), load_wafer("wse3"), load_wafer("mini")
PHASES: tuple[Phase, Phase] = ("decode", "prefill")
GPUS = [load_gpu("A100"), load_gpu("B200")]


def small(asked: Asked, gpus: Sequence[GpuSpec] = GPUS) -> Comparison:
    return compare_systems(load_config("tiny"), MINI, asked, gpus)


def by_system(rows: list[SystemRow]) -> dict[str, SystemRow]:
    return {row.system: row for row in rows}


def test_a_wafer_row_is_the_estimate(found: Comparison) -> None:
    row, told = by_system(found.of("decode", 1))["wse3"], estimate(CONFIG, WSE3, Workload(1, 8192), 1)
    assert (row.count, row.bound_by) == (told.wafers, told.bound_by)
    assert row.tokens_per_second_total == told.tokens_per_second_total
    assert row.joules_per_token == told.energy_j_per_token


def test_a_gpu_row_is_the_gpu_model_on_the_same_positions(found: Comparison) -> None:
    for users, gpus in ((1, 1), (256, 2)):
        row = by_system(found.of("decode", users))["B200"]
        on, replicas = cluster(load_gpu("B200"), gpus, weights="fp16"), 1
        rate = decode_rate(model_work(CONFIG), on, users=users, position=4096, context=8192, replicas=replicas)
        assert (row.count, row.users) == (gpus, users)
        assert row.tokens_per_second_per_user >= rate.tokens_per_second_per_user, "or split in a faster way"
    assert by_system(found.of("decode", 1))["B200"].usd_per_million_tokens is not None
    prefill = by_system(found.of("prefill", 1))["B200"]
    alone = prefill_rate(model_work(CONFIG), cluster(load_gpu("B200"), weights="fp16"), length=4096)
    assert prefill.tokens_per_second_total == alone.tokens_per_second_total


def test_the_wafer_is_ahead_for_one_user(found: Comparison) -> None:
    rows = by_system(found.of("decode", 1))
    assert rows["wse3"].ahead == ("speed",)
    assert 5 < rows["wse3"].tokens_per_second_per_user / rows["B200"].tokens_per_second_per_user < 9


def test_one_wafer_loses_in_total_once_its_sram_is_full(found: Comparison) -> None:
    """256 caches of 8,192 tokens are 275 GB, a wafer has 44: GPUs alone serve them, at more tokens/s than it gives."""
    rows = by_system(found.of("decode", 256))
    assert "wse3" not in rows
    assert [(one.users, one.phase, one.system) for one in found.missing] == [(256, "decode", "wse3")]
    assert "fit 1 wse3 in no way" in found.missing[0].reason
    assert [name for name, row in rows.items() if "speed" in row.ahead] == ["GB200"]
    alone = by_system(found.of("decode", 1))["wse3"]
    assert all(row.tokens_per_second_total > 4 * alone.tokens_per_second_total for row in rows.values())


def test_the_wafer_loses_in_energy(found: Comparison) -> None:
    """As WaferLLM publishes: an A100 takes 0.92 of a WSE-2's energy to decode, and 0.05 of it to prefill (T8, T7)."""
    decode, prefill = (by_system(found.of(phase, 1)) for phase in PHASES)
    for rows, ratio in ((decode, 0.92), (prefill, 0.051)):
        assert rows["A100"].joules_per_token / rows["wse3"].joules_per_token < ratio
        assert "energy" not in rows["wse3"].ahead
    assert prefill["GB200"].ahead == ("speed",)
    assert prefill["B200"].ahead == ("energy", "cost")


def test_a_wafer_loses_in_cost_from_some_price_on() -> None:
    """At a hundred times a B200's price; where it costs as little as a GPU, it wins."""
    dear = by_system(small(Asked((4,), 64, wafer_usd_per_hour=598)).of("decode", 4))
    wafer, gpu = dear["mini"], dear["B200"]
    assert wafer.usd_per_million_tokens is not None
    assert gpu.usd_per_million_tokens is not None
    assert wafer.usd_per_million_tokens == pytest.approx(598 / 3600 / wafer.tokens_per_second_total * 1e6)
    assert wafer.usd_per_million_tokens > gpu.usd_per_million_tokens
    assert "cost" not in wafer.ahead
    assert "cost" in with_ahead([replace(wafer, usd_per_million_tokens=0.01), gpu])[0].ahead


def test_the_prefill_is_that_of_the_estimate(found: Comparison) -> None:
    (wafer,) = (row for row in found.of("prefill", 1) if row.wafer)
    expected = estimate_prefill(CONFIG, WSE3, "float16", found.asked.prompt, wafers=1)
    assert wafer.tokens_per_second_total == expected.tokens_per_second


def test_a_prefill_that_nothing_is_known_of() -> None:
    assert not small(Asked((1,), 64)).missing
    assert [(one.phase, one.system) for one in small(Asked((1,), 64, "int8")).missing] == [("prefill", "mini")]


rows = st.builds(
    SystemRow,
    phase=st.sampled_from(["decode", "prefill"]),
    users=st.sampled_from([1, 8]),
    system=st.text("abc", min_size=1),
    count=st.just(1),
    tokens_per_second_per_user=st.floats(1, 100),
    tokens_per_second_total=st.floats(1, 100),
    joules_per_token=st.floats(1, 100),
    usd_per_million_tokens=st.none() | st.floats(0, 100),
    bound_by=st.just("HBM"),
    level=st.just("estimate"),
    wafer=st.booleans(),
)


@given(st.lists(rows, max_size=8))
def test_whoever_is_ahead_is_behind_nobody(given_rows: list[SystemRow]) -> None:
    marked = with_ahead(given_rows)
    assert [replace(row, ahead=()) for row in marked] == given_rows
    for row in marked:
        rivals = [one for one in marked if (one.phase, one.users) == (row.phase, row.users)]
        assert ("speed" in row.ahead) == all(
            one.tokens_per_second_total <= row.tokens_per_second_total for one in rivals
        )
        assert ("energy" in row.ahead) == all(one.joules_per_token >= row.joules_per_token for one in rivals)
        costs = [one.usd_per_million_tokens for one in rivals if one.usd_per_million_tokens is not None]
        assert ("cost" in row.ahead) == (
            row.usd_per_million_tokens is not None and row.usd_per_million_tokens == min(costs)
        )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(()), r"numbers of users \[\]: one or more"),
        (Asked((8, 8)), r"numbers of users \[8, 8\]"),
        (Asked((1, 0)), "0 users: at least 1 works"),
        (Asked((1,), 200_000), "a context of 200,000 tokens"),
        (Asked((1,), wafer_usd_per_hour=-1), r"a wafer at -1 \$ an hour: a price from 0 works"),
        (Asked((1,), gpu_usd_per_hour=float("nan")), r"a GPU at nan \$ an hour"),
        (Asked((1,), wafers=0), "0 wafers"),
    ],
)
def test_what_nobody_can_ask(asked: Asked, said: str) -> None:
    with pytest.raises(WseError, match=said):
        compare_systems(CONFIG, WSE3, asked, GPUS)


def test_a_model_that_no_wafer_holds() -> None:
    with pytest.raises(WseError, match="fit 1 mini in no way"):
        small(Asked((1000,), wafers=1, context=128))


def test_a_model_that_no_number_of_gpus_holds() -> None:
    none = replace(load_gpu("A100"), hbm_bytes=1e3)
    with pytest.raises(WseError, match="1,024 A100 do not hold it"):
        small(Asked((1,), 64), [none])
    held = small(Asked((1,), 64), [replace(none, name="none"), *GPUS])
    assert {one.system for one in held.missing if one.phase == "decode"} == {"none"}
