"""What the page is made of, without a browser: arrays as text, cycles by cause, spans, the files."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tests.engines.test_wafer_clock import IN_A_ROW, SPEC, pipeline, shared
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.errors import WseError
from wse_emu.program import Program
from wse_emu.report.page.build import build
from wse_emu.report.page.data import FORMAT, PARTS, load
from wse_emu.report.page.encode import decode, encode
from wse_emu.report.page.serve import page_server
from wse_emu.report.page.timeline import named_steps, spans

PROGRAMS = {
    "shared": shared(),
    "groups": shared(6, 8, "two_phase"),
    "row": pipeline(4, 4, IN_A_ROW),
    "ring": pipeline(),
}


@given(
    arrays(np.int64, array_shapes(min_dims=1, max_dims=2, max_side=9), elements=st.integers(-(2**53) + 1, 2**53 - 1))
)
def test_arrays_come_back_exactly(values: np.ndarray) -> None:
    assert np.array_equal(decode(json.loads(json.dumps(encode(values)))), np.atleast_2d(values))


def test_a_number_that_no_browser_holds_is_refused() -> None:
    with pytest.raises(WseError, match=r"2\^53"):
        encode(np.array([[2**53]]))


def test_what_is_regular_takes_almost_nothing() -> None:
    x, y = np.arange(755)[None, :], np.arange(1170)[:, None]
    wafer = (x % 8) * 1000 + (y % 13) * 7 + (x > 300) * 123_456
    assert len(encode(wafer)["data"]) < 8000


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_spans_of_a_token_are_those_of_the_timing_engine(name: str) -> None:
    engine = TimingEngine(PROGRAMS[name], SPEC, record=True)
    first = engine.token(0)
    second = engine.token(1, first.end)
    for timing in (first, second):
        assert timing.steps is not None
        found = spans(timing.steps)
        assert max(span.end for span in found) == timing.cycles
        assert all(0 <= span.start <= span.end for span in found)
        assert covered([(span.start, span.end) for span in found]) == timing.cycles, "some kernel is always at work"
        for kernel in ("mlp", "attention", "qkv", "lm_head"):
            cycles = sum(span.end - span.start for span in found if span.kernel == kernel)
            assert cycles == timing.cycles_by_kernel[kernel]


def covered(parts: list[tuple[int, int]]) -> int:
    total, reached = 0, 0
    for start, end in sorted(parts):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def test_steps_are_named_as_a_reader_would() -> None:
    assert named_steps(PROGRAMS["shared"])[:4] == ["embedding", "rope angles", "layer 0", "layer 1"]
    assert named_steps(PROGRAMS["ring"])[-2:] == ["to head", "head"]
    assert named_steps(Program("empty")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no run"),
        ("{", "damaged"),
        ("[1]", "not of format"),
        (json.dumps({"format": FORMAT + 1, **dict.fromkeys(PARTS, 0)}), "not of format"),
        (json.dumps({"format": FORMAT}), "not of format"),
    ],
)
def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "page.json").write_text(text)
    with pytest.raises(WseError, match=message) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_page_shows_one_run_or_two() -> None:
    for count in (0, 3):
        with pytest.raises(WseError, match="two side by side"):
            build([{}] * count)


def test_a_port_that_is_taken_is_said() -> None:
    with page_server("") as server, pytest.raises(WseError, match="0 picks a free one"):
        page_server("", int(server.server_address[1]))
    with pytest.raises(WseError, match="65535"):
        page_server("", 70_000)
