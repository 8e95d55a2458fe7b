"""Cycles that PEs are busy: against the instructions that the wavelet engine would run."""

from collections import Counter

import numpy as np
import pytest

from tests.engines.test_wafer_clock import IN_A_ROW, SPEC, pipeline, shared
from wse_emu.engines.activity import activity, activity_maps
from wse_emu.engines.assembly import assemble
from wse_emu.engines.code import Code, FabricProgram, Instruction
from wse_emu.engines.semantics import stream_costs
from wse_emu.engines.wafer_clock import TimingEngine
from wse_emu.fabric.region import Region

PROGRAMS = {
    "shared": shared(),
    "groups": shared(6, 8, "two_phase"),
    "row": pipeline(4, 4, IN_A_ROW),
    "ring": pipeline(),
}


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
    found = activity_maps(activity(program, SPEC, [(slots, ())]), SPEC)
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
    compute, streams = activity_maps(activity(PROGRAMS[name], SPEC, [(1, ())]), SPEC)
    assert 0 < (compute + streams).max() <= timing.cycles


@pytest.mark.parametrize("name", PROGRAMS)
def test_tokens_add_up(name: str) -> None:
    alone = [activity_maps(activity(PROGRAMS[name], SPEC, [(slots, ())]), SPEC) for slots in (1, 3, 3)]
    together = activity_maps(activity(PROGRAMS[name], SPEC, [(1, ()), (3, ()), (3, ())]), SPEC)
    for which in (0, 1):
        assert np.array_equal(together[which], sum(maps[which] for maps in alone))
