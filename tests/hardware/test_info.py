import json

import pytest

from wse_emu.hardware import load_gpu, load_wafer, wafer_names
from wse_emu.hardware.info import Row, wafer_info


def row(rows: list[Row], name: str) -> Row:
    (found,) = (row for row in rows if row["name"] == name)
    return found


def test_wse3_beside_a_b200() -> None:
    """21 PB/s over 8 TB/s: the vendor's 2,625 times; the parts say how it comes about, and what 1.1 GHz would give."""
    rows = wafer_info(load_wafer("wse3"))["beside a B200"]
    published, parts = row(rows, "memory, published"), row(rows, "memory, from the parts")
    assert published["value"] == 2625
    assert published["level"] == "published / published; 900,000 cores × 24 B × 0.972 GHz"
    assert published["value"] == pytest.approx(900_000 * 24 * 0.972e9 / 8e12, rel=1e-3)
    assert parts["value"] == pytest.approx(900_000 * 24 * 1.1e9 / 8e12)
    assert parts["level"] == "derived: 900,000 cores × 24 B × 1.1 GHz"


def test_wse3_peaks_and_published() -> None:
    info = wafer_info(load_wafer("wse3"))
    peaks = {row["name"]: (row["value"], row["unit"]) for row in info["peaks"]}
    assert peaks == {
        "SRAM": (pytest.approx(44.2368), "GB"),  # 900,000 × 48 KiB
        "memory bandwidth": (pytest.approx(23.76), "PB/s"),  # × 24 B × 1.1 GHz
        "fabric bandwidth": (pytest.approx(225.28), "Pb/s"),  # × 256 bit × 1.1 GHz × 8/9
        "sustained float16": (pytest.approx(5.7816), "PFLOP/s"),  # × 2 × 2.92 × 1.1 GHz
        "sustained float32": (pytest.approx(0.99), "PFLOP/s"),  # × 2 × 0.5 × 1.1 GHz
    }
    assert [(row["name"], row["value"], row["level"]) for row in info["published"]] == [
        ("cores", 900_000, "published"),
        ("SRAM", 44, "published"),
        ("memory bandwidth", 21, "published; implies 0.97 GHz"),
        ("fabric bandwidth", 214, "published; implies 0.93 GHz"),
    ]


def test_another_gpu_takes_the_place_of_the_b200() -> None:
    rows = wafer_info(load_wafer("wse3"), load_gpu("H100"))["beside a H100"]
    assert row(rows, "memory, published")["value"] == pytest.approx(21e15 / 3.35e12)
    assert "3.35 TB/s" in rows[0]["unit"]


def test_a_wafer_of_which_nothing_is_published_says_so() -> None:
    info = wafer_info(load_wafer("mini"))
    assert [row["value"] for row in info["published"]] == ["none"]
    assert [row["name"] for row in info["beside a B200"]] == ["memory, from the parts"]


@pytest.mark.parametrize("name", wafer_names())
def test_every_row_is_plain_data_with_unit_and_level(name: str) -> None:
    info = wafer_info(load_wafer(name))
    assert json.loads(json.dumps(info)) == info
    for rows in info.values():
        assert rows
        assert all(row.keys() == {"name", "value", "unit", "level"} and row["level"] for row in rows)
