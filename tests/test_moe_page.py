"""The page on mixtures of experts shows what its commands say."""

from pathlib import Path

import pytest

from wse_emu.hardware import load_wafer
from wse_emu.models.known import known_names, load_config
from wse_emu.program.routing import busiest_load
from wse_emu.wafers import Workload, estimate

PAGE = (Path(__file__).parent.parent / "docs" / "moe.md").read_text("utf-8")
ROWS = {
    cells[0]: cells[1:]
    for line in PAGE.splitlines()
    if line.startswith("| ") and (cells := [cell.strip() for cell in line.strip("|").split("|")])[0] in known_names()
}
ASKED = [("sharded", 1), ("sharded", 256), ("regions", 1), ("regions", 256)]


def check(name: str, columns: range) -> None:
    config = load_config(name)
    for column in columns:
        experts, users = ASKED[column]
        found = estimate(config, load_wafer("wse3"), Workload(users, 1024, experts=experts))
        assert ROWS[name][1 + column] == f"{found.wafers}, {found.tokens_per_second_total:,.0f}"


def test_every_known_mixture_has_a_row_with_its_parameters() -> None:
    mixtures = {name: config for name in known_names() if (config := load_config(name)).experts is not None}
    assert set(ROWS) == set(mixtures)
    for name, config in mixtures.items():
        assert ROWS[name][0] == f"{config.parameters / 1e9:.1f}, {config.active_parameters / 1e9:.1f} × 10⁹"
        experts = config.experts
        assert experts is not None
        mean = 256 * experts.active / experts.count
        assert ROWS[name][-1] == f"{busiest_load(experts.count, experts.active, 256) / mean:.2f}"


def test_a_row_is_what_the_estimate_says() -> None:
    check("mixtral-8x7b", range(2, 4))


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_all_rows_are_what_estimates_say(name: str) -> None:
    check(name, range(4))
