"""The page on precision shows what its command prints, and what it says of the figures holds."""

import re
from pathlib import Path

import pytest

from benchmarks import precision
from wse_emu.models import load_model
from wse_emu.program.precision import PRESETS

PAGE = (Path(__file__).parent.parent / "docs" / "precision.md").read_text("utf-8")
ROW = re.compile(r"(?:float|bfloat|int)\d+ +[a-z_]+ +.*")
LOOSE = {2: 1e-6, 3: 1e-6, 4: 1e-5, 6: 4.0}
"""1 − cosine, largest error, ULPs of the chosen logit: they depend a little on how a library adds within a PE."""
MAX_ULP = 5
"""Of logits around zero, where a little is much."""


def shown() -> dict[tuple[str, str], list[str]]:
    """Rows of the page's table of `tiny`, by precision and reduction."""
    _, block = PAGE.split("tiny, 32 tokens after 'Once upon a time', beside float32 by chain\n")
    found = [line.split() for line in block.splitlines() if ROW.fullmatch(line)]
    return {(fields[0], fields[1]): fields for fields in found}


def check(row: precision.Row) -> None:
    fields, told = str(row).split(), shown()[row.precision, row.reduce]
    for place, (mine, theirs) in enumerate(zip(fields, told, strict=True)):
        if place in LOOSE:
            assert abs(float(mine) - float(theirs)) <= 0.5 * float(theirs) + LOOSE[place]
        elif place != MAX_ULP:
            assert mine == theirs


def test_the_page_has_every_precision_with_every_reduction() -> None:
    assert list(shown()) == [(name, reduce) for name in PRESETS for reduce in precision.REDUCTIONS]


def test_the_page_holds_the_rows_of_one_reduction() -> None:
    for row in precision.rows(load_model("tiny"), 32, ("ktree",)):
        check(row)


@pytest.mark.slow
def test_the_page_holds_all_rows_and_the_second_table() -> None:
    model = load_model("tiny")
    for row in precision.rows(model, 32, precision.REDUCTIONS):
        check(row)
    for line in precision.best(model, 32):
        assert line in PAGE
