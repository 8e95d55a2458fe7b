"""The page on GPUs shows what its command prints, and its examples run."""

import re
from pathlib import Path

import pytest

from benchmarks import gpu_fit
from wse_emu.baseline import constants, fit, fitted_rows, gpu_rows, leave_one_out

PAGE = (Path(__file__).parents[2] / "docs" / "gpu.md").read_text("utf-8")
SHOWN = PAGE.split("in its program.\n\n```\n")[1].split("\n```")[0].splitlines()
LAST = re.compile(r" +[+-][\d.]+%$")
"""The error of a row under constants fitted to the others: it depends a little on the solver."""


def test_the_page_has_every_row_with_its_error() -> None:
    lines = gpu_fit.row_lines(dict.fromkeys(fitted_rows(), 0.0))
    assert [LAST.sub("", line) for line in SHOWN[: len(lines)]] == [LAST.sub("", line) for line in lines]


def test_the_page_has_the_constants() -> None:
    (_, *table) = gpu_fit.constant_lines(vars(constants()))
    assert SHOWN[-len(table) :] == table


def test_the_page_says_how_many_rows_and_how_far_off() -> None:
    assert f"ten constants fitted to {len(fitted_rows())} published rates" in PAGE.replace("\n", " ")
    assert len(vars(constants())) == 10
    assert len(gpu_rows()) - len(fitted_rows()) == 11
    assert "Eleven are shown and not fitted" in PAGE
    assert f"all                              53  {fit().median_abs_error:5.1%}" in "\n".join(SHOWN)


def test_the_pages_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(block, {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines][:2] == [["4", "A100"], ["4", "H100"]]
    assert len(lines) == 6


@pytest.mark.slow
def test_the_page_has_the_errors_of_rows_left_out() -> None:
    without = dict(zip(fitted_rows(), leave_one_out(fitted_rows()), strict=True))
    printed = [*gpu_fit.row_lines(without), "", *gpu_fit.group_lines(fitted_rows(), without)]
    for line, told in zip(printed, SHOWN, strict=False):
        one, other = ([float(n) for n in re.findall(r"[+-]?[\d.]+(?=%)", text)] for text in (line, told))
        assert one == pytest.approx(other, abs=0.3)
