"""The scalar machine against cycles that are worked out by hand from docs/machine.md."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from tests.engines.programs import PLAIN, RICH, TYPICAL, Case, Features, cases, random_case
from tests.engines.scalar_machine import Finished, simulate
from wse_emu.engines.code import RAMP, Code, Color, FabricProgram, Filter, Instruction, Operand, control
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import WaferSpec, load_wafer

E, W = 1, 2
SPEC = replace(
    load_wafer("wse2"),
    hop_cycles=1,
    link_interval=Fraction(1),
    ramp_cycles=2,
    combine_cycles=1,
    receive_cycles=1,
    stream_setup=0,
    task_cycles=5,
    input_queue_words=(4, 4, 4, 4),
    output_queue_words=(4, 4, 4, 4),
)
"""Sent at u, a wavelet is at the router at u + 2, at the next one a cycle later, and at hand two after it is let in."""


def color(*ports: tuple[int, int] | list[tuple[int, int]], **more: Any) -> Color:
    """A color on a row of PEs: (inputs, outputs) of each, or a list of them by switch position."""
    made = Color.empty(1, len(ports))
    most = max(len(port) if isinstance(port, list) else 1 for port in ports)
    inputs, outputs = np.zeros((2, most, 1, len(ports)), dtype=np.uint8)
    for x, port in enumerate(ports):
        positions = port if isinstance(port, list) else [port]
        for place, (into, out) in enumerate(positions):
            inputs[place, 0, x], outputs[place, 0, x] = into, out
        made.last[0, x] = len(positions) - 1
    return replace(made, inputs=inputs, outputs=outputs, **more)


def row(colors: list[Color], *told: Sequence[Instruction], spec: WaferSpec = SPEC, **more: Any) -> FabricProgram:
    code = Code()
    starts = []
    for instructions in told:
        starts.append(code.block(instructions))
        code.end()
    return FabricProgram(spec, 1, len(told), colors, code, np.array([starts]), **more)


def send(target: int, wavelets: int, **more: Any) -> Instruction:
    return Instruction("send", wavelets, target=target, **more)


def recv(source: int, wavelets: int, **more: Any) -> Instruction:
    return Instruction("recv", wavelets, source=source, **more)


def cycles(found: Finished, x: int, c: int = 0) -> list[int]:
    return [t for t, _, col, at in found.takes if (col, at) == (x, c)]


FORWARD = color((RAMP, E), (W, RAMP))


def test_a_chain_of_three_takes_a_stage_of_twelve_cycles_on_wse3() -> None:
    a, b = color((RAMP, E), (W, RAMP), (0, 0)), color((0, 0), (RAMP, E), (W, RAMP))
    middle = Instruction("recv_op_send", 3, source=0, target=1, operand=Operand(0))
    end = Instruction("recv_op", 3, source=1, operand=Operand(0))
    memory = np.array([[[1, 2, 3], [10, 20, 30], [100, 200, 300]]], dtype=np.float32).view(np.uint32)
    program = row([a, b], [send(0, 3, operand=Operand(0))], [middle], [end], spec=load_wafer("wse3"), memory=memory)
    found = simulate(program)
    # set up in 11, sent at 13, 14, 15 (9/8: the first is due after 2); 2 up the ramp, 2 for the hop, 2 down the ramp
    assert cycles(found, 1) == [19, 20, 21]
    assert cycles(found, 2, 1) == [31, 32, 33]
    assert found.clock.tolist() == [[15, 21 + 6, 33 + 6]]
    assert found.memory is not None
    assert found.memory.view(np.float32).tolist() == [[[1, 2, 3], [10, 20, 30], [111, 222, 333]]]


def test_a_broadcast_comes_a_hop_later_at_each_pe() -> None:
    fan = color((RAMP, E), (W, E | RAMP), (W, E | RAMP), (W, RAMP))
    found = simulate(row([fan], [send(0, 2)], *[[recv(0, 2)]] * 3))
    assert [cycles(found, x) for x in (1, 2, 3)] == [[6, 7], [7, 8], [8, 9]]
    assert found.clock.tolist() == [[2, 8, 9, 10]]
    assert found.links[:, 0].tolist() == [[2, 2, 2, 0], [0] * 4, [0] * 4, [0] * 4]


def test_a_late_receiver_stops_the_sender_when_the_queues_before_it_are_full() -> None:
    program = row([FORWARD], [send(0, 40)], [recv(0, 40)])
    found = simulate(program, np.array([[0, 100]]))
    # nothing is let in before 101: 2 places in `link`, 6 in `out`, so 8 go at once. What is let in at 101 is taken at
    # 103; that makes room in `link` at 102 and in `out` at 103: there the 9th is sent, and the 40th at 134.
    assert cycles(found, 1) == list(range(103, 143))
    assert found.clock.tolist() == [[134, 143]]
    waiting = simulate(replace(program, starts=np.array([[program.starts[0, 0], -1]])))
    assert (waiting.left_over, waiting.deadlocked, waiting.links[0, 0, 0]) == (8, True, 2)


def test_the_router_lets_in_what_the_instruction_takes_and_no_more() -> None:
    program = row([FORWARD], [send(0, 8)], [recv(0, 3), Instruction("compute", 50), recv(0, 5)])
    found = simulate(program)
    # the third is taken at 8; the `recv` is done at 9, the computation at 59: the next acts and lets in from 60 on
    assert cycles(found, 1) == [6, 7, 8, 62, 63, 64, 65, 66]
    assert found.clock.tolist() == [[8, 67]]
    shorter = row([FORWARD], [send(0, 8)], [recv(0, 3)])
    assert (simulate(shorter).left_over, simulate(shorter).links[0, 0, 0]) == (5, 5)


def test_what_lies_in_the_queue_already_is_not_let_in_again() -> None:
    sent = [send(0, 2), send(0, 1, control=control("nop")), send(0, 3)]
    found = simulate(row([FORWARD], sent, [recv(0, 9), recv(0, 2), recv(0, 1)]))
    # the control wavelet is taken at 8, when two more have been let in at 7 and 8: the second `recv` acts from 10 on,
    # takes them, is done at 12 and lets nothing in; the third lets the last one in at 13
    assert cycles(found, 1) == [6, 7, 8, 10, 11, 15]
    assert (found.clock.tolist(), found.left_over) == ([[6, 16]], 0)


def test_a_color_that_a_task_is_bound_to_is_always_let_in() -> None:
    program = row([FORWARD], [send(0, 5)], [])
    task = program.code.block([recv(0, 2)])
    program.code.end()
    program.tasks, program.task_set = [[], [int(program.starts[0, 1]), task]], np.array([[0, 1]])
    program.on_data = {(1, 0): 1}
    found = simulate(program)
    # the first starts the task, issued at 11, which takes 12 and 13 and is done at 14; the fourth starts it again, it
    # takes the fifth at 20 and waits for a sixth
    assert cycles(found, 1) == [6, 12, 13, 14, 20]
    assert found.deadlocked


def test_nine_eighths_pause_after_every_eight() -> None:
    found = simulate(row([FORWARD], [send(0, 20)], [recv(0, 20)], spec=replace(SPEC, link_interval=Fraction(9, 8))))
    assert cycles(found, 1) == [5 + -(-9 * k // 8) for k in range(1, 21)]
    assert found.clock[0, 0] == 23


def test_a_full_branch_of_a_multicast_stops_the_other() -> None:
    fan = color((E, RAMP), (RAMP, E | W), (W, RAMP))
    found = simulate(row([fan], [recv(0, 10)], [send(0, 10)], [recv(0, 10)]), np.array([[50, 0, 0]]))
    # the branch to the west holds 2 in `link`; the first is let in at 51 and taken at 53, so the 3rd moves on at 52 to
    # both sides: it is let in a hop later, at 53, and taken at 55
    assert cycles(found, 2) == [6, 7, *range(55, 63)]
    assert cycles(found, 0) == list(range(53, 63))


def test_two_colors_take_turns_on_a_link() -> None:
    through, beside = color((RAMP, E), (W, E), (W, RAMP)), color((0, 0), (RAMP, E), (W, RAMP))
    told = [recv(0, 3, background=True), recv(1, 3)]
    found = simulate(row([through, beside], [send(0, 3)], [send(1, 3)], told), np.array([[0, 1, 0]]))
    # both are at hand at the middle router from 4 on; neither has moved, so the lower color begins
    assert cycles(found, 2, 0) == [7, 9, 11]
    assert cycles(found, 2, 1) == [8, 10, 12]


def test_a_control_wavelet_turns_a_ring_switch_and_ends_a_receive() -> None:
    fan = color((E, RAMP), [(RAMP, E), (RAMP, W)], (W, RAMP), ring=True)
    turn = send(0, 1, control=control("advance"))
    told = [recv(0, 9)], [send(0, 2), turn, send(0, 1), turn, send(0, 1)], [recv(0, 9), recv(0, 1)]
    found = simulate(row([fan], *told))
    # the first `recv` of the east ends with the control wavelet taken at 8 and is done at 9; the last wavelet is before
    # its router at 9, and let in at 10, when the second `recv` begins to act
    assert cycles(found, 0) == [9, 10]
    assert cycles(found, 2) == [6, 7, 8, 12]
    assert found.clock.tolist() == [[11, 6, 13]]
    assert not found.deadlocked


@pytest.mark.parametrize(("pop", "onward"), [("never", 1), ("always", 2), ("on_advance", 2)])
def test_a_popped_command_works_on_one_router_only(pop: str, onward: int) -> None:
    switched = color((RAMP, E), [(W, E), (W, RAMP)], (W, RAMP), pop=pop)
    found = simulate(row([switched], [send(0, 1, control=control("advance")), send(0, 1)], [], [recv(0, 1)]))
    assert cycles(found, 2) == [7]
    assert found.links[0, 0].tolist() == [2, onward, 0]
    assert found.left_over == 1


def test_filters_drop_at_the_ramp_and_let_pass_by() -> None:
    filters = {(0, 1): Filter(start=1, limit=1, period=3), (0, 2): Filter(low=2, high=4)}
    fan = color((RAMP, E), (W, E | RAMP), (W, RAMP), filters=filters)
    memory = np.zeros((1, 3, 8), dtype=np.uint32)
    memory[0, 0] = [k << 16 for k in range(8)]
    told = [send(0, 7, operand=Operand(0))], [recv(0, 2, operand=Operand(1, 2))], [recv(0, 3, operand=Operand(0))]
    found = simulate(row([fan], *told, memory=memory))
    # (1 + k) mod 3 < 1: the wavelets 2 and 5; of their upper halves, 2 to 4
    assert cycles(found, 1) == [8, 11]
    assert cycles(found, 2) == [9, 10, 11]
    assert found.memory is not None
    assert (found.memory[0, 1:] >> 16).tolist() == [[0, 2, 0, 5, 0, 0, 0, 0], [2, 3, 4, 0, 0, 0, 0, 0]]
    assert (found.left_over, found.links[0, 0].tolist()) == (0, [7, 7, 0])


def test_two_that_wait_for_each_other_are_deadlocked() -> None:
    back = color((E, RAMP), (RAMP, W))
    found = simulate(row([FORWARD, back], [recv(1, 1), send(0, 1)], [recv(0, 1), send(1, 1)]), np.array([[3, 4]]))
    assert (found.deadlocked, found.left_over, found.takes) == (True, 0, [])
    assert found.clock.tolist() == [[3, 4]]


def test_a_wavelet_starts_a_data_task() -> None:
    program = row([FORWARD], [send(0, 2, operand=Operand(0))], [], memory=np.array([[[7, 8], [0, 0]]], dtype=np.uint32))
    task = program.code.block([Instruction("compute", 10)])
    program.code.end()
    program.tasks, program.task_set = [[], [int(program.starts[0, 1]), task]], np.array([[0, 1]])
    program.on_data, program.arguments = {(1, 0): 1}, {(1, 0): 1}
    found = simulate(program)
    # at hand at 6, issued at 11, done at 21; then the second
    assert cycles(found, 1) == [6, 21]
    assert found.clock.tolist() == [[2, 36]]
    assert found.memory is not None
    assert found.memory[0, 1].tolist() == [0, 8]


@pytest.mark.parametrize(("seed", "taken", "end"), [(0, 14, 34), (1, 39, 34)])
def test_the_seed_chooses_among_activated_tasks(seed: int, taken: int, end: int) -> None:
    first, second = (Instruction("compute", 3, background=True, activates=task) for task in (1, 2))
    program = row([FORWARD], [first, second], [recv(0, 1)])
    tasks = [int(program.starts[0, 0])]
    for told in (send(0, 1), Instruction("compute", 20)):
        tasks.append(program.code.block([told]))
        program.code.end()
    program.tasks, program.task_set = [tasks, []], np.array([[0, 1]])
    found = simulate(program, seed=seed)
    # both are ready at 3; with seed 0 the `send` is issued at 8, with seed 1 the computation, and the `send` at 33
    assert cycles(found, 1) == [taken]
    assert found.clock[0, 0] == end


def test_two_heads_at_once_are_refused() -> None:
    both = color((RAMP, E), (W | RAMP, E), (W, RAMP))
    program = row([both], [send(0, 1)], [send(0, 1)], [recv(0, 2)])
    with pytest.raises(WseError, match=r"two inputs at PE \(1, 0\) in cycle 4"):
        simulate(program, np.array([[0, 1, 0]]))
    assert cycles(simulate(program, np.array([[0, 2, 0]])), 2) == [7, 8]


def test_a_reduction_keeps_the_time_of_adding() -> None:
    spec = replace(SPEC, rates={**SPEC.rates, "add_float32": Fraction(2, 5)})  # 2.5 cycles, so 3
    found = simulate(row([FORWARD], [send(0, 4)], [Instruction("recv_op", 4, source=0)], spec=spec))
    assert cycles(found, 1) == [6, 9, 12, 15]
    assert found.clock.tolist() == [[4, 16]]
    found = simulate(row([FORWARD], [send(0, 4, reducing=True)], [recv(0, 4)], spec=spec))
    assert cycles(found, 1) == [8, 11, 14, 17]


def test_pes_meet_with_the_host_and_wait_for_their_background() -> None:
    host = Instruction("host", 10)
    behind = Instruction("compute", 40, background=True)
    told = [Instruction("compute", 7), host], [behind, host, Instruction("wait"), Instruction("compute", 1)]
    assert simulate(row([FORWARD], *told)).clock.tolist() == [[17, 41]]


@pytest.mark.parametrize(("between", "cycle"), [(0, 1), (2, 3), (4, 5)])
def test_two_instructions_of_a_pe_on_one_color_at_once_are_refused(between: int, cycle: int) -> None:
    told = [recv(0, 1, background=True), Instruction("compute", between), recv(0, 1)]
    with pytest.raises(WseError, match=rf"two instructions of PE \(1, 0\) use one color in cycle {cycle}$"):
        simulate(row([FORWARD], [send(0, 2)], told))


def test_one_instruction_after_another_may_use_a_color() -> None:
    told = [recv(0, 1, background=True), Instruction("compute", 7), recv(0, 1)]
    found = simulate(row([FORWARD], [send(0, 2)], told))
    # the first is taken at 6 and done at 7; the second is let in at 8
    assert cycles(found, 1) == [6, 10]


def test_a_ninth_microthread_is_refused() -> None:
    behind = [Instruction("compute", 5, background=True)] * 8
    one_more = Instruction("compute", 1, background=True)
    with pytest.raises(WseError, match=r"PE \(0, 0\) needs a ninth microthread in cycle 4"):
        simulate(row([], [*behind, Instruction("compute", 4), one_more]))
    assert simulate(row([], [*behind, Instruction("compute", 5), one_more])).clock.tolist() == [[6]]


REFUSALS = ("two inputs", "two instructions", "ninth microthread")


def outcome(case: Case, later: int = 0) -> Finished | None:
    shape = (case.program.rows, case.program.cols)
    start = np.zeros(shape, dtype=np.int64) if case.start is None else case.start
    try:
        return simulate(case.program, start + later, case.seed)
    except WseError as error:
        assert any(refusal in str(error) for refusal in REFUSALS)  # noqa: PT017 - whether it is raised differs
        return None


@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_nothing_depends_on_the_cycle_that_a_run_begins_in(case: Case) -> None:
    found, late = outcome(case), outcome(case, 7)
    assert (found is None) == (late is None)
    if found is not None and late is not None:
        assert (found.clock + 7 == late.clock).all()
        assert [(t + 7, *where) for t, *where in found.takes] == late.takes
        np.testing.assert_array_equal(found.links, late.links)


@pytest.mark.parametrize("features", [PLAIN, TYPICAL, RICH], ids=["plain", "typical", "rich"])
def test_most_random_programs_come_to_an_end(features: Features) -> None:
    found = [outcome(random_case(seed, features)) for seed in range(60)]
    ended = [one for one in found if one is not None and not one.deadlocked]
    assert len(ended) > 45
    assert sum(one.left_over == 0 for one in ended) > 40
    assert sum(len(one.takes) for one in ended) > 1000
