"""What `decode` and `estimate` say of experts."""

import json
from pathlib import Path

import numpy as np
import pytest

from wse_emu.errors import WseError
from wse_emu.report.estimate import EstimateOptions, run_estimate
from wse_emu.report.summary import experts_load


def options(model: str = "olmoe-1b-7b", **changes: object) -> EstimateOptions:
    given = {"wafer": "wse3", "wafers": None, "users": 32, "context": 128, "precision": "float16", "gpus": ["H100"]}
    plain = {"kv": "dealt", "experts": "sharded", "chances": None, "draft": None, "prompt": None, "json_output": True}
    return EstimateOptions(model, **(given | plain | changes))  # type: ignore[arg-type]


def test_the_busiest_expert_is_told_beside_the_mean(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run_estimate(options(experts="regions"))
    even = json.loads(capsys.readouterr().out)
    assert even["experts"]["mean_tokens"] == 32 * 8 / 64
    assert 1.5 < even["experts"]["max_over_mean"] < 3
    path = tmp_path / "chances.json"
    path.write_text(json.dumps([1000, *[1] * 63]))
    run_estimate(options(experts="regions", chances=str(path)))
    skewed = json.loads(capsys.readouterr().out)
    assert skewed["experts"]["busiest_tokens"] > 31, "nearly every token meets the likely one"


def test_a_dense_model_has_no_experts_to_tell_of(capsys: pytest.CaptureFixture[str]) -> None:
    run_estimate(options("llama-2-13b"))
    assert json.loads(capsys.readouterr().out)["experts"] is None


@pytest.mark.parametrize("chances", ["1,x", "nowhere.json", "1,2"])
def test_chances_that_cannot_be_read_are_one_clear_line(chances: str) -> None:
    with pytest.raises(WseError, match=r"work"):
        run_estimate(options(chances=chances))


def test_the_least_even_layer_is_in_the_report() -> None:
    load = experts_load({1: np.array([4, 4, 4, 4]), 3: np.array([1, 9, 2, 4])})
    assert load is not None
    assert [layer["max_over_mean"] for layer in load["layers"]] == [1.0, 2.25]
    assert load["max_over_mean"] == 2.25
    assert load["layers"][1] == {"layer": 3, "tokens": [1, 9, 2, 4], "max_over_mean": 2.25}
    assert experts_load({}) is None
