"""A user's own TOML: it works like a preset, and what is wrong with it is one clear line."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_emu.errors import WseError
from wse_emu.hardware import load_wafer
from wse_emu.hardware.wafer import PRESETS

TEXT = (PRESETS / "wse3.toml").read_text("utf-8")
KEYS = re.findall(r"^(\w+) =", TEXT, re.MULTILINE)
Write = Callable[[str], str]


def changed(key: str, value: str | None) -> str:
    """wse3.toml with another value of ``key``, or without it."""
    line = "" if value is None else f"{key} = {value}"
    text, count = re.subn(rf"^{key} = .*$", lambda _: line, TEXT, flags=re.MULTILINE)
    assert count >= 1
    return text


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> str:
        path = tmp_path / "own.toml"
        path.write_text(text, "utf-8")
        return str(path)

    return write


def test_own_file_is_the_preset_under_its_own_name(write: Write) -> None:
    own, preset = vars(load_wafer(write(TEXT))), vars(load_wafer("wse3"))
    assert own == preset | {"name": "own"}
    assert load_wafer(write('name = "wse9"\n' + TEXT)).name == "wse9"


def test_own_numbers_are_taken(write: Write) -> None:
    assert load_wafer(write(changed("hop_cycles", "1"))).stage_cycles == 11
    assert load_wafer(write(changed("link_interval", "2"))).link_interval == 2
    assert load_wafer(write(changed("link_interval", '"1.125"'))) == load_wafer(write(TEXT))
    assert load_wafer(write(changed("clock_hz", "1"))).clock_hz == 1.0


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("hop_cycles", None, "key 'hop_cycles' is missing"),
        ("fma_float32", None, "rates must be a table with exactly .*'fma_float32' is missing"),
        ("colors", "24\nflux = 88", "key 'flux' is unknown"),
        ("colors", "2.5", "colors is 2.5; a whole number"),
        ("link_interval", '"7/5"', "link_interval 7/5 is neither a whole number of cycles nor one like 9/8"),
        ("ramp_cycles", "0", "ramp_cycles must be above 0"),
        ("colors", "true", "colors is True; a whole number"),
        ("colors", "-1", "colors is -1; a whole number"),
        ("colors", "0", "colors must be above 0"),
        ("rows", "9" * 30, "rows is beyond 64 bits; a whole number"),
        ("hop_cycles", "0", "hop_cycles must be above 0"),
        ("clock_hz", '"fast"', "clock_hz is 'fast'; a number"),
        ("clock_hz", "inf", "clock_hz is inf; a number"),
        ("clock_hz", "nan", "clock_hz is nan; a number"),
        ("clock_hz", "9" * 400, "clock_hz is beyond 64 bits; a number"),
        ("clock_hz", "9" * 5000, "no valid TOML"),
        ("edge_latency_seconds", "-1e-6", "edge_latency_seconds is -1e-06; a number"),
        ("link_interval", "1.125", "link_interval is 1.125; a ratio above 0 in quotes"),
        ("link_interval", '"9/0"', "link_interval is '9/0'; a ratio"),
        ("link_interval", '"1e-999999999"', "link_interval is '1e-999999999'; a ratio"),
        ("link_interval", '"nan"', "link_interval is 'nan'; a ratio"),
        ("fma_float16", '"-1"', "rates.fma_float16 is '-1'; a ratio"),
        ("input_queue_words", "[8, 4]", r"input_queue_words is \[8, 4\]; four whole numbers"),
        ("output_queue_words", '["a", 1, 1, 1]', "output_queue_words is 'a'; a whole number"),
        ("columns", "763", r"763×1170 usable PEs .* exceed the fabric of 762×1172"),
        ("runtime_bytes", "49152", "runtime_bytes 49152 leave nothing of 49152 sram_bytes"),
        ("runtime_colors", "24", "runtime_colors 24 leave nothing of 24 colors"),
        ("cores", "0", "published.cores is 0; a number above 0"),
        ("cores", "9e5\nprice = 2e6", "published must be a table with no keys but cores"),
        ("colors", "24\nname = 5", "name is 5; a text"),
        ("colors", "[", "no valid TOML"),
    ],
)
def test_mistakes_are_one_line_that_names_file_and_key(write: Write, key: str, value: str | None, message: str) -> None:
    with pytest.raises(WseError, match=message) as caught:
        load_wafer(write(changed(key, value)))
    assert "own.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WseError, match=r"binary\.toml: no UTF-8 text"):
        load_wafer(str(tmp_path / "binary.toml"))
    for name in ("wse9", "", "a\0b", str(tmp_path), str(tmp_path / "absent.toml")):
        with pytest.raises(WseError, match=r"unknown wafer .*wse1, wse2, wse3, mini, or the path of a TOML file"):
            load_wafer(name)
    with pytest.raises(WseError, match="cannot be read"):
        load_wafer("w" * 5000)


VALUES = st.one_of(
    st.integers().map(str),
    st.floats().map(repr),
    st.booleans().map(lambda value: str(value).lower()),
    st.text("0123456789/.e-x ", max_size=8).map(lambda value: f'"{value}"'),
    st.lists(st.integers(-2, 9), max_size=5).map(str),
    st.just("{}"),
)


@given(key=st.sampled_from(KEYS), value=VALUES)
def test_any_value_loads_or_is_one_clear_line(tmp_path_factory: pytest.TempPathFactory, key: str, value: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(changed(key, value), "utf-8")
    try:
        spec, complaint = load_wafer(str(path)), ""
    except WseError as error:
        spec, complaint = None, str(error)
    if spec is None:
        assert re.fullmatch(r".*any\.toml.*", complaint)
    else:
        assert spec.user_bytes > 0
        assert all(peak > 0 for peak in spec.derived().values())
