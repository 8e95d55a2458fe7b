"""Reading measurement files: what works, and what a file that does not is told."""

from pathlib import Path

import pytest

from wse_emu.errors import WseError
from wse_emu.validation import read_rows, shipped_files
from wse_emu.validation.rows import KINDS

GEMV = "P,group_num,tile_m,tile_n,cycles\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "rows.csv"
    path.write_text(text, "utf-8")
    return path


def test_comments_blank_lines_and_other_columns_do_not_matter(tmp_path: Path) -> None:
    path = write(
        tmp_path, "# source: somewhere\n\nnote,P,group_num,tile_m,tile_n,cycles\n# more\nwell,16,2,1,3,246.95\n"
    )
    (row,) = read_rows(path)
    assert (row.kind, row.whole("P"), row.whole("tile_n"), row.measured) == ("meshgemv", 16, 3, 246.95)
    assert row.where == f"{path}, line 5"


def test_every_kind_ships_with_its_source() -> None:
    kinds = {}
    for path in shipped_files():
        assert "source: " in path.read_text("utf-8") or "WaferLLM (OSDI 2025" in path.read_text("utf-8")
        rows = read_rows(path)
        kinds[rows[0].kind] = len(rows)
    assert kinds.keys() == KINDS.keys()
    assert kinds == {"meshgemv": 198, "meshgemm": 230, "shift": 84, "tables": 72}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no rows; columns that work: P,group_num"),
        ("# only words\n", "has no rows"),
        ("a,b\n1,2\n", "line 1: the columns 'a, b' are none that work"),
        (GEMV + "16,2,1,1\n", "line 2: 4 cells, the header has 5 columns"),
        (GEMV + "16,2,1,1,9\n0,2,1,1,9\n", "line 3: P is '0'; a whole number above 0 works"),
        (GEMV + "16,2,-1,1,9\n", "tile_m is '-1'"),
        (GEMV + "16,2,1.5,1,9\n", "tile_m is '1.5'"),
        (GEMV + "16,two,1,1,9\n", "group_num is 'two'"),
        (GEMV + "99999999999,2,1,1,9\n", "P is '99999999999'"),
        (GEMV + "16,2,1,1,fast\n", "cycles is 'fast'; a number above 0 works"),
        (GEMV + "16,2,1,1,nan\n", "cycles is 'nan'"),
        (GEMV + "16,2,1,1,inf\n", "cycles is 'inf'"),
        (GEMV + "16,2,1,1,0\n", "cycles is '0'"),
    ],
)
def test_a_wrong_file_is_told_what_is_wrong_and_where(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(WseError) as caught:
        read_rows(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"P,\xff\xfe")
    with pytest.raises(WseError, match=r"binary\.csv: no UTF-8 text"):
        read_rows(tmp_path / "binary.csv")
    with pytest.raises(WseError, match=r"missing\.csv: cannot be read"):
        read_rows(tmp_path / "missing.csv")
    with pytest.raises(WseError, match="cannot be read"):
        read_rows(tmp_path)
