"""What runs of hand-made programs do: deadlocks and their names, seeds, backpressure, long rests."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.programs import RICH, Case, cases
from tests.engines.test_scalar_machine import FORWARD, SPEC, E, W, color, recv, row, send
from wse_emu.engines.code import RAMP, FabricProgram, Instruction, Operand
from wse_emu.engines.wavelet import Machine
from wse_emu.engines.wavelet.engine import Outcome
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import WaferSpec

BACK = color((E, RAMP), (RAMP, W))


def refusal(program: FabricProgram, start: np.ndarray | None = None) -> str:
    with pytest.raises(WseError) as caught:
        Machine(program, start).run()
    return str(caught.value)


# Deadlocks


def test_two_that_receive_before_they_send_name_each_other() -> None:
    told = [recv(1, 1), send(0, 1)], [recv(0, 1), send(1, 1)]
    said = refusal(row([FORWARD, BACK], *told, corner=(10, 20), names=["there", "back"]))
    assert said.startswith("deadlock in cycle ")
    first, second = "PE (10, 20) in `recv` of back", "PE (11, 20) in `recv` of there"
    assert said.endswith((f": {first} → {second} → {first}", f": {second} → {first} → {second}"))


def test_two_that_send_more_than_the_queues_hold_before_they_receive_name_each_other() -> None:
    # 6 in `out`, 2 in `link`: nothing is let in
    told = [send(0, 9), recv(1, 9)], [send(1, 9), recv(0, 9)]
    said = refusal(row([FORWARD, BACK], *told))
    assert said.startswith("deadlock in cycle ")
    assert "PE (0, 0) in `send` of color 0" in said
    assert "PE (1, 0) in `send` of color 1" in said
    enough = [send(0, 8), recv(1, 8)], [send(1, 8), recv(0, 8)]
    assert Machine(row([FORWARD, BACK], *enough)).run().left_over == 0


@pytest.mark.parametrize("columns", [2, 70, 130])
def test_a_recv_that_nobody_feeds_names_who_does_not_send(columns: int) -> None:
    passing = [(W, E)] * (columns - 2)
    far = color((RAMP, E), *passing, (W, RAMP))
    said = refusal(row([far], [send(0, 2)], *[[]] * (columns - 2), [recv(0, 3)]))
    assert f"PE ({columns - 1}, 0) in `recv` of color 0 → PE (0, 0), which " in said
    assert said.endswith("and nothing more will come")


@pytest.mark.parametrize("start", range(16))
def test_what_is_passed_on_after_a_long_way_still_arrives(start: int) -> None:
    """The second color has been quiet for as long as the first one's wavelet was on its way."""
    passing, spec = [(W, E)] * 27, replace(SPEC, hop_cycles=2)
    far = color((RAMP, E), *passing, (W, RAMP), (0, 0))
    near = color((0, 0), *[(0, 0)] * 27, (RAMP, E), (W, RAMP))
    told = [send(0, 1)], *[[]] * 27, [Instruction("recv_op_send", 1, 0, 1)], [recv(1, 1)]
    program = row([far, near], *told, spec=spec)
    outcome = Machine(program, np.full((1, 30), start)).run()
    # sent at 1; two ramps and 28 hops; combined; two ramps and a hop; stored
    assert outcome.clock[0, -1] == start + 1 + (4 + 56) + 1 + (4 + 2) + 1


def test_a_host_that_not_all_reach_names_who_does_not_come() -> None:
    host = Instruction("host", 5)
    said = refusal(row([FORWARD], [host], [recv(0, 1), host]))
    first, second = "PE (0, 0) in `host`", "PE (1, 0) in `recv` of color 0"
    assert said.startswith("deadlock in cycle ")
    assert first in said
    assert second in said


def test_too_many_microthreads_are_refused() -> None:
    behind = [Instruction("compute", 5, background=True)] * 8
    late, one_more = Instruction("compute", 4), Instruction("compute", 1, background=True)
    said = refusal(row([], [], [*behind, late, one_more]))
    assert said.startswith("PE (1, 0) has more than 8 background instructions under way in cycle 4;")
    enough = [*behind, Instruction("wait"), one_more]
    assert Machine(row([], [], enough)).run().clock.tolist() == [[0, 6]]


# Seeds


def outcome(case: Case, seed: int) -> Outcome | str:
    try:
        return Machine(case.program, case.start, seed).run()
    except WseError as error:
        return str(error)


def assert_same(first: Outcome | str, second: Outcome | str) -> None:
    if isinstance(first, str) or isinstance(second, str):
        assert first == second
        return
    assert (first.stepped, first.crowded, first.left_over) == (second.stepped, second.crowded, second.left_over)
    assert first.blocks == second.blocks
    np.testing.assert_array_equal(first.clock, second.clock)
    np.testing.assert_array_equal(first.links, second.links)
    np.testing.assert_array_equal(first.memory, second.memory)


@settings(max_examples=8, deadline=None)
@given(case=cases(RICH), seed=st.integers(0, 2**31))
def test_a_run_can_be_repeated(case: Case, seed: int) -> None:
    assert_same(outcome(case, seed), outcome(case, seed))


@settings(max_examples=8, deadline=None)
@given(case=cases(replace(RICH, tasks=0)), seed=st.integers(1, 2**31))
def test_without_tasks_the_seed_changes_nothing(case: Case, seed: int) -> None:
    assert_same(outcome(case, 0), outcome(case, seed))


def activated(values: Sequence[int]) -> FabricProgram:
    """PE 0 activates a task for each of ``values`` at once, which sends it; PE 1 stores them as they come."""
    memory = np.zeros((1, 2, 16), dtype=np.uint32)
    memory[0, 0, : len(values)] = values
    first = [Instruction("compute", 3, background=True, activates=1 + i) for i in range(len(values))]
    told = recv(0, len(values), operand=Operand(0))
    program = row([FORWARD], first, [told], memory=memory)
    tasks = [int(program.starts[0, 0])]
    for i in range(len(values)):
        tasks.append(program.code.block([send(0, 1, operand=Operand(i)), Instruction("compute", 7)]))
        program.code.end()
    program.tasks, program.task_set = [tasks, []], np.array([[0, 1]])
    return program


def test_seeds_change_the_order_of_activated_tasks_and_nothing_else() -> None:
    program = activated((11, 22, 33))
    orders = set()
    for seed in range(40):
        found = Machine(program, seed=seed).run()
        assert found.memory is not None
        orders.add(tuple(found.memory[0, 1, :3].tolist()))
        # 3, then three times: 5 to dispatch, 1 to send, 7 to compute; the last is sent at 3 + 2 · 13 + 5 + 1 = 35,
        # moves at 37, is let in at 38, taken at 40
        assert found.clock.tolist() == [[3 + 3 * 13, 41]]
        assert (found.links[0, 0].tolist(), found.left_over) == ([3, 0], 0)
    assert {tuple(sorted(order)) for order in orders} == {(11, 22, 33)}
    assert len(orders) == 6


# Backpressure

WORDS = 24
"""Room in memory for each stream."""


@dataclass(frozen=True)
class Stream:
    """A multicast along a row."""

    sender: int
    receivers: tuple[int, ...]
    words: int


@dataclass(frozen=True)
class Traffic:
    columns: int
    streams: tuple[Stream, ...]
    spec: WaferSpec
    seed: int


@st.composite
def traffics(draw: st.DrawFn) -> Traffic:
    """Up to six streams on a row, which share links and PEs; queues of one to eight words."""
    columns = draw(st.sampled_from((2, 3, 5, 8, 66)))
    places = st.integers(0, columns - 1)
    streams = []
    for _ in range(draw(st.integers(1, 6))):
        sender = draw(places)
        away = draw(st.sets(st.integers(1, columns - 1), min_size=1, max_size=3))
        receivers = {(sender + x) % columns for x in away}
        streams.append(Stream(sender, tuple(sorted(receivers)), draw(st.integers(1, WORDS))))
    depths = st.tuples(*[st.integers(1, 8)] * 4)
    spec = replace(
        SPEC,
        hop_cycles=draw(st.integers(1, 3)),
        link_interval=draw(st.sampled_from((Fraction(1), Fraction(9, 8), Fraction(2)))),
        input_queue_words=draw(depths),
        output_queue_words=draw(depths),
    )
    return Traffic(columns, tuple(streams), spec, draw(st.integers(0, 2**32 - 1)))


def multicast(columns: int, stream: Stream) -> list[tuple[int, int]]:
    """(inputs, outputs) of every PE."""
    ports = [(0, 0)] * columns
    low, high = min(stream.sender, *stream.receivers), max(stream.sender, *stream.receivers)
    for x in range(low, high + 1):
        into = RAMP if x == stream.sender else W if x > stream.sender else E
        out = E * (stream.sender <= x < high) | W * (low < x <= stream.sender) | RAMP * (x in stream.receivers)
        ports[x] = into, out
    return ports


def run_traffic(traffic: Traffic) -> tuple[np.ndarray, Outcome]:
    """What the memories held before; every PE runs all its streams at once, each begun late."""
    rng = np.random.default_rng(traffic.seed)
    told: list[list[Instruction]] = [[] for _ in range(traffic.columns)]
    for c, stream in enumerate(traffic.streams):
        for x in (stream.sender, *stream.receivers):
            base = WORDS * c if x == stream.sender else WORDS * (c + len(traffic.streams))
            more = {"background": True, "operand": Operand(base)}
            one = send(c, stream.words, **more) if x == stream.sender else recv(c, stream.words, **more)
            told[x] += [Instruction("compute", int(rng.integers(0, 60))), one]
    memory = rng.integers(0, 2**32, (1, traffic.columns, 2 * WORDS * len(traffic.streams)), dtype=np.uint32)
    colors = [color(*multicast(traffic.columns, stream)) for stream in traffic.streams]
    program = row(colors, *told, spec=traffic.spec, memory=memory)
    return memory, Machine(program, rng.integers(0, 200, (1, traffic.columns))).run()


@settings(max_examples=30, deadline=None)
@given(traffic=traffics())
def test_nothing_is_lost_doubled_or_reordered_under_backpressure(traffic: Traffic) -> None:
    expected, found = run_traffic(traffic)
    links = np.zeros((4, 1, traffic.columns), dtype=np.int64)
    for c, stream in enumerate(traffic.streams):
        sent = expected[0, stream.sender, WORDS * c : WORDS * c + stream.words]
        base = WORDS * (c + len(traffic.streams))
        for x in stream.receivers:
            expected[0, x, base : base + stream.words] = sent
        links[0, 0, stream.sender : max(stream.sender, *stream.receivers)] += stream.words
        links[1, 0, min(stream.sender, *stream.receivers) + 1 : stream.sender + 1] += stream.words
    np.testing.assert_array_equal(found.memory, expected)
    np.testing.assert_array_equal(found.links, links)
    assert found.left_over == 0


# Rest


def test_colors_that_rest_for_thousands_of_cycles_wake_again() -> None:
    pause = Instruction("compute", 5000)
    there, back = [send(0, 3), pause, recv(1, 2), pause, send(0, 3)], [recv(0, 3), pause, send(1, 2), pause, recv(0, 3)]
    found = Machine(row([FORWARD, BACK], there, back)).run()
    # PE 1 takes at 6, 7, 8, is done at 9, sends at 5010 and 5011; PE 0 takes that at 5015 and 5016 and is done at 5017,
    # sends at 10018 to 10020, when PE 1, which was done with its pause at 10011, has long begun to act
    assert found.clock.tolist() == [[10020, 10026]]
    assert (found.links[0, 0, 0], found.links[1, 0, 1], found.left_over) == (6, 2, 0)
    assert found.stepped < 500


def test_whose_turn_it_is_outlasts_a_rest() -> None:
    first, second = color((RAMP, E), (W, E), (W, RAMP), (0, 0)), color((0, 0), (RAMP, E), (W, E), (W, RAMP))
    told = (
        [send(0, 1), Instruction("compute", 5000), send(0, 1)],
        [Instruction("compute", 5002), send(1, 1)],
        [recv(0, 2)],
        [recv(1, 1)],
    )
    found = Machine(row([first, second], *told)).run()
    # both colors are at hand at router 1 at 5005. Color 0 has moved there at 4, color 1 never: it goes first, color 0
    # at 5006. They are let in at 5007, color 1 one hop further, and taken at 5009.
    assert found.clock.tolist() == [[5002, 5003, 5010, 5010]]
    assert found.crowded == 1
    assert found.stepped < 300
