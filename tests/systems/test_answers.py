"""The three answers, and what was published beside them."""

import re
from dataclasses import replace

import pytest

from wse_emu.baseline import published_work
from wse_emu.models.known import known_names, load_config
from wse_emu.systems import Comparison, answers, published_speeds
from wse_emu.systems.answers import cost as cost_of


def test_latency_is_a_ratio_of_rows(found: Comparison) -> None:
    text = answers(found)["latency"]
    wafer, _, h100, b200, _ = found.of("decode", 1)
    assert text.startswith(f"one user gets {wafer.tokens_per_second_per_user:,.0f} tokens/s on 1 × wse3, ")
    ratio = wafer.tokens_per_second_per_user / b200.tokens_per_second_per_user
    assert f"{ratio:.2g} times the {b200.tokens_per_second_per_user:,.0f} on 1 × B200" in text
    assert h100.tokens_per_second_per_user < b200.tokens_per_second_per_user
    assert re.search(r"; \d+ × GB200 of a node give \d+, and the wafer [\d.]+ times that$", text)


def test_cost_names_the_price_at_which_they_are_level(found: Comparison) -> None:
    wafer, *gpus = found.of("decode", 1)
    price = float(re.findall(r"at \$([\d.]+) an hour each they would be level", answers(found)["cost"])[0])
    cost = price / 3600 / wafer.tokens_per_second_total * 1e6
    assert cost == pytest.approx(min(row.usd_per_million_tokens or 1e9 for row in gpus), rel=0.01)
    paid = [replace(row, usd_per_million_tokens=99.0) if row.wafer else row for row in found.rows]
    assert "$99 a million tokens on 1 × wse3, $4.23 a million tokens on 1 × A100" in cost_of(replace(found, rows=paid))


def test_cost_is_of_the_most_users_that_both_serve(found: Comparison) -> None:
    text = answers(found)["cost"]
    assert text.startswith("for 1 user ")
    assert "(one of them does not hold 256)" in text
    assert "no price of a wafer is published" in text


def test_dense_models_read_all_of_their_matrices(found: Comparison) -> None:
    assert answers(found)["mixture"].startswith("dense: every token needs all 7.5 billion parameters")


def test_a_mixture_reads_its_active_experts_until_the_batch_grows(found: Comparison) -> None:
    """Mixtral 8x7B: 46.7 billion parameters, 12.9 for a token with its embedding, and 256 users draw all."""
    text = answers(replace(found, work=published_work("Mixtral-8x7B")))["mixture"]
    assert text.startswith(
        "mixture: one user's token reads 12.7 of 46.7 billion parameters (27%), those of 256 users 46.6"
    )
    gains = re.findall(r"(\w+) is ([\d.]+) times as fast for (\d+) users?", text)
    assert [(gpu, users) for gpu, _, users in gains] == [("B200", "1"), ("GB200", "256")]
    one, many = (float(times) for _, times, _ in gains)
    assert 0.8 * 46.7 / 12.7 < one < 46.7 / 12.7, "the same launches and caches beside fewer bytes"
    assert 1.0 <= many < 1.2


def test_published_speeds_stand_beside_the_prediction(found: Comparison) -> None:
    """1,800 tokens/s of one CS-3 (the vendor): the prediction is not far above, and nothing is made to fit."""
    speed = published_speeds(load_config("llama-3.1-8b"))[0]
    assert (speed.tokens_per_second, speed.systems, speed.system, speed.confidence) == (1800, "1", "wse3", "P")
    row = found.predicted(speed)
    assert row is not None
    assert 1.0 < row.tokens_per_second_per_user / 1800 < 1.3
    cloud = next(one for one in found.published if one.gpu)
    beside = found.predicted(cloud)
    assert (cloud.system, cloud.tokens_per_second) == ("H100", 242)
    assert beside is not None
    assert beside.system == "H100"


def test_every_published_figure_has_a_source_and_a_reason() -> None:
    every = [speed for name in known_names() for speed in published_speeds(load_config(name))]
    assert len(every) >= 8
    for speed in every:
        assert speed.source
        assert speed.gap
        assert speed.confidence in {"P", "S", "S-low"}
        assert str(int(speed.tokens_per_second)) in speed.printed
    assert published_speeds(load_config("tiny")) == []
