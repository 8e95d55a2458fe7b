"""`wse-emu compare`: the table, the JSON, the picture, and every mistake as one line."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.test_cli import run as run  # noqa: PLC0414  (a fixture)
from wse_emu.hardware import load_wafer
from wse_emu.models.known import load_config
from wse_emu.report import compare as report
from wse_emu.systems import Asked, Comparison, compare_systems

Run = Callable[..., tuple[int, str, str]]
TINY = ("compare", "--model", "tiny", "--wafer", "mini", "--context", "64")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was asked of the comparison; all get the same one of `tiny`."""
    asked: list[dict[str, Any]] = []

    def compare(*arguments: Any, name: str) -> Comparison:
        asked.append({"asked": arguments[2], "gpus": [gpu.name for gpu in arguments[3]], "name": name})
        return _found()

    monkeypatch.setattr(report, "compare_systems", compare)
    return asked


@cache
def _found() -> Comparison:
    return compare_systems(load_config("tiny"), load_wafer("mini"), Asked((1, 4), 64, "int8"), name="tiny")


def test_the_table_has_every_system_and_three_answers(run: Run, made: list[dict[str, Any]]) -> None:
    code, out, err = run(*TINY)
    assert (code, err) == (0, "")
    for expected in ("1 × mini", "1 × MI300X", "ahead in", "no price", "no prefill on mini", "timing model"):
        assert expected in out
    last = [line.split(":")[0] for line in out.strip().splitlines()[-3:]]
    assert last == ["Latency", "Dense or mixture", "Cost"]
    assert made[0]["asked"] == Asked((1, 8, 64, 256), 64)


def test_options_are_passed_on(run: Run, made: list[dict[str, Any]]) -> None:
    prices = ("--wafer-usd-per-hour", "9.5", "--gpu-usd-per-hour", "2")
    run(*TINY, "--users", "1, 4", "--gpu", "B200", "--gpu", "H100", "--gpu", "B200", "--wafers", "3", *prices)
    assert made[0]["asked"] == Asked((1, 4), 64, "float16", 3, 9.5, 2.0)
    assert (made[0]["gpus"], made[0]["name"]) == (["B200", "H100"], "tiny")


def test_the_json_has_a_version_and_a_level_for_every_figure(run: Run, made: list[dict[str, Any]]) -> None:
    code, out, err = run(*TINY, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["version"], told["model"], told["wafer"], told["context"]) == (1, "tiny", "mini", 64)
    assert len(told["rows"]) == 2 * 7 + 6
    assert all(row["level"] for row in told["rows"])
    assert {name for row in told["rows"] for name in row if "per_token" in name or "usd" in name} <= told[
        "levels"
    ].keys()
    assert set(told["answers"]) == {"latency", "mixture", "cost"}
    assert told["published"] == []


def test_a_folder_gets_the_json_and_the_picture(run: Run, made: list[dict[str, Any]], tmp_path: Path) -> None:
    code, _, _ = run(*TINY, "--out", str(tmp_path / "runs"))
    assert code == 0
    assert json.loads((tmp_path / "runs" / "compare.json").read_text("utf-8"))["version"] == 1
    assert (tmp_path / "runs" / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_published_speeds_are_shown_with_their_relation() -> None:
    found = compare_systems(load_config("llama-3.1-8b"), load_wafer("wse3"), Asked((1,)))
    speed = report.comparison_report(found)["published"][0]
    assert (speed["printed"], speed["source"]) == ("1800", "cerebras.ai blog Introducing Cerebras Inference")
    assert speed["ratio"] == pytest.approx(speed["predicted"] / 1800)
    line = report._published_line(found, found.published[0])
    assert line.startswith(
        "published: 1800 tokens/s for one user on 1 CS-3 (company, 2024-08-27, 16-bit weights); pred"
    )
    assert f"{speed['ratio']:.2g} times that. Why: the prediction is of one stream" in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--users", "0"), "0 users: at least 1 works"),
        (("--users", "1,x"), "--users '1,x': whole numbers separated by commas work, as 1,8,64"),
        (("--users", ""), "--users ''"),
        (("--users", "9" * 5000), "whole numbers separated by commas work"),
        (("--gpu", "TPU"), "unknown GPU 'TPU'; what works: A100"),
        (("--context", "129"), "a context of 129 tokens: 1 to 128"),
        (("--precision", "int2"), "--precision int2: float32, float16"),
        (("--wafer-usd-per-hour", "-3"), "a wafer at -3 $ an hour: a price from 0 works"),
        (("--gpu-usd-per-hour", "inf"), "a GPU at inf $ an hour"),
        (("--wafers", "0"), "0 wafers: at least 1 works"),
        (("--out", "/dev/null/x"), "--out /dev/null/x: cannot be written"),
    ],
)
def test_mistakes(run: Run, options: tuple[str, ...], said: str) -> None:
    code, out, err = run(*TINY, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
