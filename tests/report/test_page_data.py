"""What the page is made of, without a browser: arrays as text, cycles by cause, spans, the files."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tests.engines.test_wafer_clock import IN_A_ROW, SPEC, pipeline, shared
from wse_emu.engines.assembly import assemble
from wse_emu.engines.code import Code, FabricProgram, Instruction
from wse_emu.engines.semantics import stream_costs
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.errors import WseError
from wse_emu.fabric.region import Region
from wse_emu.program import Program
from wse_emu.report.page.activity import activity, activity_maps
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


def instructions(program: FabricProgram, row: int, col: int) -> list[Instruction]:
    """What the wavelet engine would run on a PE of its box."""
    told: list[Instruction] = []
    code, place = program.code, int(program.starts[row, col])
    while code.axis[place] != Code.END:
        region, origin = code.region[place] or Region(0, 0, 0, 0), code.origin[place]
        offset = {
            Code.EVERYWHERE: 0,
            Code.ALONG_X: col - origin,
            Code.ALONG_Y: row - origin,
            Code.IN_REGION: (row - region.y) * region.width + col - region.x,
        }[code.axis[place]]
        told += code.list_at(code.first[code.base[place] + offset])
        place += 1
    return told


@pytest.mark.parametrize("name", PROGRAMS)
def test_busy_cycles_are_those_of_the_instructions_that_the_fabric_would_run(name: str) -> None:
    program, slots = PROGRAMS[name], 2
    fabric = assemble(program, SPEC, slots)
    found = activity_maps(activity(program, SPEC, [slots]), SPEC)
    for row, col in np.argwhere(fabric.starts >= 0):
        wanted = Counter({"compute": 0, "streams": 0})
        for one in instructions(fabric, row, col):
            adds = one.reducing or one.kind in {"recv_op", "recv_op_send"}
            if one.kind == "compute":
                wanted["compute"] += one.wavelets
            elif one.kind in {"send", "recv", "recv_op", "recv_op_send"}:
                wanted["streams"] += stream_costs(SPEC, "float32", combining=adds).due(one.wavelets)
        at = row + fabric.corner[1], col + fabric.corner[0]
        assert (found[0][at], found[1][at]) == (wanted["compute"], wanted["streams"])
    used = np.zeros((SPEC.rows, SPEC.columns), dtype=bool)
    for call in program.calls:
        used[call.region.y : call.region.bottom, call.region.x : call.region.right] = True
    assert not found[0][~used].any()
    assert not found[1][~used].any()


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_pe_is_busy_for_longer_than_its_token_takes(name: str) -> None:
    timing = TimingEngine(PROGRAMS[name], SPEC).token(0)
    compute, streams = activity_maps(activity(PROGRAMS[name], SPEC, [1]), SPEC)
    assert 0 < (compute + streams).max() <= timing.cycles


@pytest.mark.parametrize("name", PROGRAMS)
def test_tokens_add_up(name: str) -> None:
    alone = [activity_maps(activity(PROGRAMS[name], SPEC, [slots]), SPEC) for slots in (1, 3, 3)]
    together = activity_maps(activity(PROGRAMS[name], SPEC, [1, 3, 3]), SPEC)
    for which in (0, 1):
        assert np.array_equal(together[which], sum(maps[which] for maps in alone))


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_spans_of_a_token_are_those_of_the_timing_engine(name: str) -> None:
    program, engine = PROGRAMS[name], TimingEngine(PROGRAMS[name], SPEC)
    first = engine.token(0)
    second = engine.token(1, first.end)
    for timing, before in ((first, None), (second, engine.clocks(first))):
        found = spans(program, SPEC, 1, before)
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
