"""The page on estimates shows what the commands print."""

import re
from pathlib import Path

import pytest

from benchmarks import estimate_speed
from wse_emu.hardware import load_wafer
from wse_emu.models.known import load_config
from wse_emu.wafers import Draft, Workload, estimate

PAGE = (Path(__file__).parent.parent.parent / "docs" / "estimates.md").read_text("utf-8")
ROW = re.compile(r"\| (\d+B) \| (.*?) \| (\d+) \| (\w+) \| ([\d.,]+) \| ([\d.,]+) \| (\d+) % \|")
ROWS = ROW.findall(PAGE)


def test_the_table_is_found() -> None:
    assert len(ROWS) == 8


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_a_row_is_what_the_estimate_says(row: tuple[str, ...]) -> None:
    model, options, wafers, mapping, each, total, bubbles = row
    given = dict(re.findall(r"--(\w+) ([\w.-]+)", options))
    draft = Draft(load_config(given["draft"])) if "draft" in given else None
    asked = Workload(int(given.get("users", 1)), int(given.get("context", 8192)))
    most = int(given["wafers"]) if "wafers" in given else None
    found = estimate(load_config(f"llama-3.1-{model.lower()}"), load_wafer("wse3"), asked, most, draft)
    assert (found.wafers, found.mapping) == (int(wafers), mapping)
    assert found.tokens_per_second_per_user == pytest.approx(float(each.replace(",", "")), rel=0.01)
    assert found.tokens_per_second_total == pytest.approx(float(total.replace(",", "")), rel=0.01)
    assert found.bubbles == pytest.approx(int(bubbles) / 100, abs=0.006)


def test_what_the_page_says_of_caches() -> None:
    config, spec = load_config("llama-3.1-8b"), load_wafer("wse3")
    shifted = estimate(config, spec, Workload(1, 1024, kv="shifted"))
    said = re.search(r"in each layer, ([\d,]+) cycles of Llama-3.1-8B's ([\d,]+)", PAGE)
    assert said is not None
    shift, token = (int(number.replace(",", "")) for number in said.groups())
    assert shift == shifted.cycles_by_kernel["KV shift"]
    assert token == pytest.approx(shifted.cycles_per_token - shift, abs=500)
    dealt, concatenated = (estimate(config, spec, Workload(1, 256, kv=kv)) for kv in ("dealt", "concatenated"))
    rates = (f"{one.tokens_per_second_per_user:,.0f}" for one in (dealt, concatenated))
    assert f"from one wafer to three, and from {' to '.join(rates)} tokens/s" in PAGE
    assert (dealt.wafers, concatenated.wafers) == (1, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "most"), [("llama-3.1-8b", 0.5), ("llama-3.1-405b", 2.0)])
def test_an_estimate_takes_no_time(model: str, most: float) -> None:
    assert min(estimate_speed.seconds(model) for _ in range(5)) < most
