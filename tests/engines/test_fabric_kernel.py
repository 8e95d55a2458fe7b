"""Small kernels whose answers are known without running them, by ``docs/machine.md``; and what is refused.

Cycles on wse3: the k-th wavelet of a stream is due G(k) = ⌈9k/8⌉ after it was issued. The ramp takes 2 cycles each way,
a hop 2, storing 1, adding 8, a task 43. On wse2: G(k) = k, ramp 2, hop 1, storing 1, adding 1.

One file of all a kernel writer can use, longer than others: every test is a kernel and reads on its own.
"""

from collections.abc import Callable
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
import pytest

from wse_emu.engines.fabric_kernel import Array, ColorHandle, FabricKernel, Listing, Run, Tile
from wse_emu.engines.semantics import due
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import WaferSpec, load_wafer

WAYS = {"W": (1, 0), "E": (1, 2), "S": (2, 1), "N": (0, 1)}
"""Where the neighbours of the centre of a 3×3 are, in the order of the switch positions that the tests use."""
BACK = {"W": "E", "E": "W", "N": "S", "S": "N"}


def pair(wafer: str = "wse3", **options: Any) -> tuple[FabricKernel, ColorHandle]:
    """Two PEs, and a color from the left one to the right one."""
    k = FabricKernel(1, 2, wafer=wafer)
    right = k.color("right", **options)
    k[0, 0].route(right, "RAMP", "E")
    k[0, 1].route(right, "W", "RAMP")
    return k, right


def star(ways: str, start: int, *, ring: bool = False) -> tuple[FabricKernel, ColorHandle, Tile]:
    """A 3×3 whose centre has one switch position for each of ``ways``; the neighbours take what comes."""
    k = FabricKernel(3, 3)
    color = k.color("spokes", ring=ring)
    centre = k[1, 1]
    centre.switch(color, [("RAMP", way) for way in ways.split()], start=start)
    for way in ways.split():
        k[WAYS[way]].route(color, BACK[way], "RAMP")
    return k, color, centre


# Switches


def test_a_ring_of_four_positions_goes_round() -> None:
    k, color, centre = star("W E S N", start=1, ring=True)
    data, got = k.array("data", 4), k.array("got", 1)
    k.set(data, [0, 2, 4, 6])
    with centre.code() as pe:
        for place in range(4):
            if place:
                pe.send_control(color, "advance")
            pe.send(color, data[place])
    for way in WAYS.values():
        with k[way].code() as pe:
            pe.recv(color, got)
    k.set(got, -1)
    run = k.run()
    assert {way: run.read(got)[at].item() for way, at in WAYS.items()} == {"E": 0, "S": 2, "N": 4, "W": 6}
    assert run.left_over == 3  # each control wavelet left by the position before: E, S and N have one more
    assert run.links[:, 1, 1].tolist() == [2, 1, 2, 2]


def test_control_wavelets_carry_a_value_by_the_position_before() -> None:
    k, color, centre = star("W E S N", start=0, ring=True)
    got = k.array("got", 1, "int32")
    with centre.code() as pe:
        for value in (0, 2, 4, 6):
            pe.send_control(color, "advance", value=value)
    for way in WAYS.values():
        k[way].task(on_control=color, argument=got)
    k.set(got, -1)
    run = k.run()
    assert {way: run.read(got)[at].item() for way, at in WAYS.items()} == {"W": 0, "E": 2, "S": 4, "N": 6}
    assert run.left_over == 0
    assert run.read(got)[1, 1] == -1


def test_reset_goes_back_to_the_start_and_the_last_position_stays_without_a_ring() -> None:
    k, color, centre = star("W E S", start=1)
    data, got, nothing = k.array("data", 4), k.array("got", 2), k.array("nothing", 1)
    k.set(data, [1, 2, 3, 4])
    with centre.code() as pe:
        for place, command in enumerate(("advance", "advance", "reset", "nop")):
            pe.send(color, data[place])  # to E, S, S, E
            pe.send_control(color, command)
    for way in "ES":
        with k[WAYS[way]].code() as pe:
            pe.recv(color, got[0])
            pe.recv(color, nothing)  # the control wavelet ends it
            pe.recv(color, got[1])
    run = k.run()
    assert run.read(got)[WAYS["E"]].tolist() == [1, 4]
    assert run.read(got)[WAYS["S"]].tolist() == [2, 3]
    assert run.links[0].sum() == run.links[3].sum() == 4
    assert run.links[1].sum() == run.links[2].sum() == 0


@pytest.mark.parametrize(
    ("pop", "commands", "passed"),
    [
        ("never", "nop advance", []),
        ("never", "advance nop advance", [1, 2]),  # all obey the same first command
        ("always", "nop advance", [1]),  # PE 0 obeys and drops the nop, PE 1 the advance
        ("always", "advance nop advance", [2]),
        ("always", "nop advance advance", [1, 2]),
        ("on_advance", "nop advance", []),  # the nop stays in front
        ("on_advance", "advance advance", [1]),  # dropped by PE 0 and PE 1; nothing is left for PE 2
        ("on_advance", "advance nop advance", []),
    ],
)
def test_pop_says_which_router_obeys_which_command(pop: Any, commands: str, passed: list[int]) -> None:
    """Of a row of four, PEs 1 and 2 let data pass once they have advanced; they sum what they get of 1 and 2."""
    k = FabricKernel(1, 4)
    color = k.color("along", pop=pop)
    data, came, total = k.array("data", 2), k.array("came", 1), k.array("total", 1)
    k.set(data, [1, 2])
    sender = k[0, 0]
    sender.route(color, "RAMP", "E")
    with sender.code() as pe:
        pe.send(color, data[0])
        pe.send_control(color, *commands.split())
        pe.send(color, data[1])
    k[0, 1:3].switch(color, [("W", "E RAMP"), ("W", "E")])
    k[0, 3].route(color, "W", "RAMP")
    others = k[0, 1:]
    with others.task(on=color, argument=came) as pe:
        pe.vector("add", total, total, came)
    others.task(on_control=color)
    run = k.run()
    assert run.read(total)[0, 1:, 0].tolist() == [1 if pe in passed else 3 for pe in (1, 2, 3)]
    assert run.left_over == 0


@pytest.mark.parametrize(
    ("pop", "commands"),
    [("never", ["teardown"]), ("always", ["nop", "teardown"])],
)
def test_teardown_closes_the_color_and_later_wavelets_are_left_over(pop: Any, commands: list[str]) -> None:
    """The sends are issued at 0, 13 and 26 and act 13 later; PE 0's router can move its wavelets at 15, 28, 41 and 42.

    The second is the control wavelet. Whether PE 0 obeys it at 28 or PE 1 at 30, the last two stay at PE 0.
    """
    k = FabricKernel(1, 3)
    color = k.color("right", pop=pop)
    data, got = k.array("data", 3), k.array("got", 3)
    k.set(data, [1, 2, 3])
    k[0, 0].route(color, "RAMP", "E")
    k[0, 1].route(color, "W", "E")
    k[0, 2].route(color, "W", "RAMP")
    with k[0, 0].code() as pe:
        pe.send(color, data[:1])
        pe.send_control(color, *commands)
        pe.send(color, data[1:])
    with k[0, 2].code() as pe:
        pe.recv(color, got)
    run = k.run()
    assert run.read(got)[0, 2].tolist() == [1, 0, 0]
    assert run.left_over == 2
    assert run.links[0, 0, :2].tolist() == [2, 2]


# Filters


def broadcast_row(
    pes: int, values: np.ndarray, share: int
) -> tuple[FabricKernel, ColorHandle, Callable[[], list[list[int]]]]:
    """PE 0 sends ``values`` along a row; each of ``pes`` others receives ``share`` wavelets, which the last returns."""
    k = FabricKernel(1, pes + 1)
    color = k.color("stream")
    data, got = k.array("data", len(values), "int32"), k.array("got", share, "int32")
    k.set(data, values)
    k[0, 0].route(color, "RAMP", "E")
    k[0, 1:-1].route(color, "W", "E RAMP")
    k[0, -1].route(color, "W", "RAMP")
    with k[0, 0].code() as pe:
        pe.send(color, data)
    with k[0, 1:].code() as pe:
        pe.recv(color, got)

    def run() -> list[list[int]]:
        done = k.run()
        assert (done.links[0, 0, :-1] == len(values)).all()
        assert done.left_over == 0
        kept: list[list[int]] = done.read(got)[0, 1:].tolist()
        return kept

    return k, color, run


@pytest.mark.parametrize("pes", [2, 3, 5])
def test_a_counter_filter_deals_out_a_stream(pes: int) -> None:
    """PE i of P keeps the wavelets k with (k − i) mod P = 0."""
    values = np.arange(4 * pes) + 100
    k, color, run = broadcast_row(pes, values, 4)
    for i in range(pes):
        k[0, 1 + i].filter(color, start=(-i) % pes, limit=1, period=pes)
    assert run() == values.reshape(4, pes).T.tolist()


def test_a_counter_filter_keeps_the_first_of_every_period() -> None:
    """Two of every five, from the start: 0, 1, 5, 6, 10, 11."""
    k, color, run = broadcast_row(2, np.arange(15), 6)
    k[0, 1:].filter(color, limit=2, period=5)
    assert run() == 2 * [[0, 1, 5, 6, 10, 11]]


def test_a_range_filter_sorts_a_stream_by_its_upper_16_bits() -> None:
    """Keys 0 to 5 in some order; PE i keeps the keys 2i and 2i + 1, in the order in which they come."""
    keys = np.array([3, 0, 5, 1, 4, 2, 2, 4, 1, 5, 0, 3])
    values = (keys << 16) + np.arange(len(keys))
    k, color, run = broadcast_row(3, values, 4)
    for i in range(3):
        k[0, 1 + i].filter(color, low=2 * i, high=2 * i + 1)
    assert run() == [values[keys // 2 == i].tolist() for i in range(3)]


# Streams


def round_trip(elements: int, wafer: str, queue: int) -> Run:
    """PE 0 sends all, then receives all; PE 1 adds 1 to every element on its way back."""
    k = FabricKernel(1, 2, wafer=wafer)
    there, back = k.color("there", queue=queue), k.color("back", queue=queue)
    data, got, one = (k.array(name, elements) for name in ("data", "got", "one"))
    k[0, 0].route(there, "RAMP", "E")
    k[0, 1].route(there, "W", "RAMP")
    k[0, 1].route(back, "RAMP", "W")
    k[0, 0].route(back, "E", "RAMP")
    with k[0, 0].code() as pe:
        pe.send(there, data)
        pe.recv(back, got)
    with k[0, 1].code() as pe:
        pe.recv_op_send(there, back, one)
    k.set(data, np.arange(elements))
    k.set(one, 1)
    run = k.run()
    assert run.read(got)[0, 0].tolist() == list(range(1, elements + 1))
    return run


def on_the_way(spec: WaferSpec, queue: int) -> int:
    """Wavelets that fit between a `send` and a `recv` that has not begun, there and back.

    There: PE 0's `out`, PE 1's `link`, and its `in`, which its instruction has bound. Back: PE 1's `out`, which a
    `recv_op_send` feeds, and PE 0's `link`. PE 0's `in` is bound by no instruction yet, and lets nothing in.
    """
    out, into = (depths[queue // 2] + spec.ramp_cycles for depths in (spec.output_queue_words, spec.input_queue_words))
    link = spec.hop_cycles + 1
    return (out + link + into) + (out + spec.combine_cycles + link)


@pytest.mark.parametrize(("wafer", "queue"), [("wse3", 2), ("wse3", 0), ("wse2", 2), ("wse2", 4), ("wse1", 2)])
def test_sending_all_before_receiving_works_as_long_as_the_queues_hold_it(wafer: str, queue: int) -> None:
    most = on_the_way(load_wafer(wafer), queue)
    if (wafer, queue) == ("wse3", 2):
        assert most == (10 + 3 + 6) + (16 + 3)
    run = round_trip(most, wafer, queue)
    assert run.left_over == 0
    assert run.links[:, 0].tolist() == [[most, 0], [0, most], [0, 0], [0, 0]]
    with pytest.raises(WseError, match=r"^deadlock in cycle \d+: ") as caught:
        round_trip(most + 1, wafer, queue)
    said = str(caught.value)
    for part in (
        "PE (0, 0) in `send` of there",
        "PE (1, 0) in `recv_op_send` of there of back",
        "back at router (0, 0)",
    ):
        assert part in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("wafer", "rows", "pes", "elements"), [("wse2", 1, 7, 20), ("wse3", 3, 8, 33), ("wse3", 1, 2, 1)]
)
def test_a_checkerboard_of_two_colors_reduces_a_chain(wafer: str, rows: int, pes: int, elements: int) -> None:
    """B wavelets at the link's interval, and one stage for each of P − 1 links (HPDC 2024: B + (2·T_R + 2)(P − 1))."""
    k = FabricKernel(rows, pes, wafer=wafer)
    x, colors = k.array("x", elements), [k.color("even"), k.color("odd")]
    for col in range(pes):
        sent, received = colors[col % 2], colors[1 - col % 2]
        if col > 0:
            k[:, col].route(sent, "RAMP", "W")
        if col < pes - 1:
            k[:, col].route(received, "E", "RAMP")
    with k[:, 0].code() as pe:
        pe.recv_op(colors[1], x)
    for first in (1, 2):
        if first < pes - 1:
            with k[:, first : pes - 1 : 2].code() as pe:
                pe.recv_op_send(colors[1 - first % 2], colors[first % 2], x)
    with k[:, pes - 1].code() as pe:
        pe.send(colors[(pes - 1) % 2], x)
    values = np.random.default_rng(0).integers(-9, 9, (rows, pes, elements))
    k.set(x, values)
    run = k.run()
    np.testing.assert_array_equal(run.read(x)[:, 0], values.sum(axis=1))
    setup, stage = {"wse2": (0, 2 * 2 + 2), "wse3": (11, 2 * 2 + 2 + 6)}[wafer]
    assert run.cycles == setup + due(elements, k.spec.link_interval) + stage * (pes - 1)
    np.testing.assert_array_equal(run.links[1], [[0] + [elements] * (pes - 1)] * rows)
    assert run.links.sum() == rows * (pes - 1) * elements


@pytest.mark.parametrize("length", [0, 1, 7])
def test_a_sentinel_ends_a_stream_of_unknown_length_and_activates_a_task(length: int) -> None:
    """The last of n wavelets is sent at G(n), the sentinel 2 later; it is taken 6 later, and the `recv` done 1 later.

    Then the task: 43 cycles, and a copy of one element, 16 + 1.
    """
    k, right = pair()
    data, got, flag = k.array("data", 8), k.array("got", 8), k.array("flag", 1)
    k.set(data, range(1, 9))
    with k[0, 0].code() as pe:
        pe.send(right, data[:length])
        pe.send_control(right, "nop")
    receiver = k[0, 1]
    with receiver.task() as at_end:
        at_end.vector("copy", flag, 7.0)
    with receiver.code() as pe:
        pe.recv(right, got, background=True, activates=at_end)
    run = k.run()
    assert run.read(got)[0, 1].tolist() == [*range(1, length + 1), *[0] * (8 - length)]
    assert run.read(flag)[0, 1] == 7
    sends = 1 + (length > 0)
    assert run.cycles == 11 * sends + ceil(9 * length / 8) + 2 + 6 + 1 + 43 + 17


def test_a_second_sentinel_starts_the_task_bound_to_control_wavelets() -> None:
    """The first one ends the `recv` of unknown length; the value of the second is the task's argument."""
    k, right = pair()
    data, got, told = k.array("data", 3), k.array("got", 8), k.array("told", 1, "int32")
    k.set(data, [5, 6, 7])
    with k[0, 0].code() as pe:
        pe.send(right, data)
        pe.send_control(right)
        pe.send_control(right, value=3)
    receiver = k[0, 1]
    with receiver.code() as pe:
        pe.recv(right, got)
    with receiver.task(on_control=right, argument=told) as pe:
        pe.vector("add", told, told, 10)
    run = k.run()
    assert run.read(got)[0, 1].tolist() == [5, 6, 7, 0, 0, 0, 0, 0]
    assert run.read(told)[0, 1] == 13


def ring_shift(pes: int, elements: int, shifts: int) -> tuple[Run, np.ndarray, list[int]]:
    """A ring on a line, 0 2 4 … 5 3 1: nobody's next one is more than two hops away.

    Those that go east have two colors in turn, those that go west two others: none is sent and received at one PE.
    Returns the run, what every PE has in the end, and the ring.
    """
    order = [*range(0, pes, 2), *reversed(range(1, pes, 2))]
    k = FabricKernel(1, pes)
    buffers = k.array("a", elements), k.array("b", elements)
    colors = [k.color(name) for name in ("east", "east too", "west", "west too")]
    sent = {pe: colors[pe % 2 * 2 + pe // 2 % 2] for pe in order}
    before = dict(pairwise([order[0], *reversed(order)]))
    for pe, last in before.items():
        way, color = "E" if last < pe else "W", sent[last]
        k[0, last].route(color, "RAMP", way)
        k[0, pe].route(color, BACK[way], "RAMP")
        if abs(last - pe) == 2:
            k[0, (last + pe) // 2].route(color, BACK[way], way)
    for pe, last in before.items():
        with k[0, pe].code() as listing:
            for number in range(shifts):
                listing.recv(sent[last], buffers[1 - number % 2], background=True)
                listing.send(sent[pe], buffers[number % 2])
                listing.wait()
    k.set(buffers[0], np.arange(pes)[:, None] * 100 + np.arange(elements))
    run = k.run()
    return run, run.read(buffers[shifts % 2])[0], order


@pytest.mark.parametrize(("pes", "elements"), [(2, 5), (3, 1), (6, 20), (9, 8)])
def test_a_two_hop_ring_shift_takes_its_longest_way(pes: int, elements: int) -> None:
    """All links carry one stream; a PE's last wavelet has come after set-up + G(n) + 2 ramps + its hops + 1."""
    run, values, order = ring_shift(pes, elements, 1)
    for last, pe in pairwise([*order, order[0]]):
        assert values[pe].tolist() == [last * 100 + element for element in range(elements)]
        hops = abs(last - pe)
        assert run.clock[0, pe] == 11 + ceil(9 * elements / 8) + 2 * 2 + hops * 2 + 1
    assert run.cycles == 11 + ceil(9 * elements / 8) + (9 if pes > 2 else 7)
    assert run.links[:2, 0].sum() == elements * sum(abs(pe - last) for last, pe in pairwise([*order, order[0]]))
    assert run.left_over == 0


@pytest.mark.parametrize("pes", [4, 7])
def test_as_many_shifts_as_pes_bring_everything_home(pes: int) -> None:
    _, values, _ = ring_shift(pes, 3, pes)
    assert values.tolist() == [[pe * 100 + element for element in range(3)] for pe in range(pes)]
    _, values, order = ring_shift(pes, 3, 2)
    assert values[order[2], 0] == order[0] * 100


def test_two_streams_of_one_pe_take_turns() -> None:
    """Two sends at once share the datapath: together 2n wavelets in G(2n) cycles, and the same for what is taken."""
    k, right = pair()
    other = k.color("right too")
    k[0, 0].route(other, "RAMP", "E")
    k[0, 1].route(other, "W", "RAMP")
    x, y = k.array("x", 6), k.array("y", 6)
    with k[0, 0].code() as pe:
        pe.send(right, x, background=True)
        pe.send(other, y, background=True)
    with k[0, 1].code() as pe:
        pe.recv(right, x, background=True)
        pe.recv(other, y, background=True)
    k.set(x, range(6))
    k.set(y, range(6, 12))
    run = k.run()
    assert [run.read(array)[0, 1].tolist() for array in (x, y)] == [list(range(6)), list(range(6, 12))]
    assert run.clock.tolist() == [[11 + ceil(9 * 12 / 8), 11 + ceil(9 * 12 / 8) + 2 + 2 + 2 + 1]]


# Tasks


def test_a_background_instruction_activates_a_task_when_it_is_done() -> None:
    """The last of 4 is stored at G(4) + 6 + 1; the task begins 43 later, and doubles 4 elements in 16 + 4 / 0.5."""
    k, right = pair()
    data, twice = k.array("data", 4), k.array("twice", 4)
    k.set(data, [[1, 2, 3, 4], [0, 0, 0, 0]])
    with k[0, 0].code() as pe:
        pe.send(right, data)
    receiver = k[0, 1]
    with receiver.task() as later:
        later.vector("mul", twice, data, 2)
    with receiver.code() as pe:
        pe.recv(right, data, background=True, activates=later)
    run = k.run()
    assert run.read(twice)[0, 1].tolist() == [2, 4, 6, 8]
    assert run.clock.tolist() == [[11 + 5, 11 + 5 + 6 + 1 + 43 + 24]]


def test_a_data_task_has_its_wavelet_as_argument() -> None:
    """The wavelet enters at 2 and is at hand at 2 + 6; then the task, 43, and adding one element, 16 + 1."""
    k, right = pair()
    value, came = k.array("value", 1), k.array("came", 1)
    k.set(value, 2.5)
    with k[0, 0].code() as pe:
        pe.send(right, value)
    with k[0, 1].task(on=right, argument=came) as pe:
        pe.vector("add", value, value, came)
    run = k.run()
    assert run.read(value)[0].tolist() == [[2.5], [5.0]]
    assert run.cycles == 11 + 2 + 6 + 43 + 17


def two_tasks(seed: int, late: int) -> float:
    """1, doubled by one task and one more by another, in the order in which they run."""
    k, right = pair()
    x = k.array("x", 1)
    k.set(x, 1)
    sender, more = k[0, 0], k.color("more")
    with sender.task() as double:
        double.vector("mul", x, x, 2)
    with sender.task() as add:
        add.vector("add", x, x, 1)
    sender.route(more, "RAMP", "E")
    k[0, 1].route(more, "W", "RAMP")
    with sender.code() as pe:
        pe.send(right, x, background=True, activates=double)
        pe.send(more, x, background=True, activates=add)
        pe.wait()
    got = k.array("got", 1)
    with k[0, 1].code() as pe:
        pe.recv(right, got)
        pe.recv(more, got)
    return float(k.run(seed=seed, start=np.array([[late, 0]])).read(x)[0, 0, 0])


def test_the_order_of_two_activated_tasks_depends_on_the_seed_only() -> None:
    orders = [two_tasks(seed, late=0) for seed in range(16)]
    assert set(orders) == {(1 + 1) * 2, 1 * 2 + 1}
    assert [two_tasks(seed, late=0) for seed in range(16)] == orders
    assert [two_tasks(seed, late=7) for seed in range(16)] == orders


# Memory and vector instructions


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_elements_travel_two_to_a_wavelet(dtype: str) -> None:
    """5 elements are 3 wavelets. 2048 + 1 is 2048 in float16 (11 bits), and 256 + 1 is 256 in bfloat16 (8 bits)."""
    k, right = pair()
    before, x, after = k.array("before", 1, "int32"), k.array("x", 5, dtype), k.array("after", 1, "int32")
    k.set(before, 7)
    k.set(after, 8)
    large = {"float16": 2048, "bfloat16": 256}[dtype]
    k.set(x, [[[1, -2, 0.5, 1, 3], [10, 20, 0.25, large, 4]]])
    with k[0, 0].code() as pe:
        pe.send(right, x)
    with k[0, 1].code() as pe:
        pe.recv_op(right, x, "add")
    run = k.run()
    assert run.read(x).astype(float)[0, 1].tolist() == [11, 18, 0.75, large, 7]
    assert run.read(x).shape == (1, 2, 5)
    assert run.links[0, 0, 0] == 3
    assert (run.read(before) == 7).all()
    assert (run.read(after) == 8).all()


@pytest.mark.parametrize(
    ("dtype", "operation", "expected"),
    [("float32", "max", [3, 5, -1]), ("int32", "max", [3, 5, -1]), ("int32", "add", [4, 3, -3])],
)
def test_recv_op_combines(dtype: str, operation: Any, expected: list[int]) -> None:
    k, right = pair()
    x = k.array("x", 3, dtype)
    k.set(x, [[[1, 5, -2], [3, -2, -1]]])
    with k[0, 0].code() as pe:
        pe.send(right, x)
    with k[0, 1].code() as pe:
        pe.recv_op(right, x, operation)
    assert k.run().read(x)[0, 1].tolist() == expected


def test_slices_of_an_array_are_sent_received_set_and_read() -> None:
    k, right = pair()
    x = k.array("x", 8)
    k.set(x[1::2], [10, 11, 12, 13])
    k.set(x[-1], 99)
    with k[0, 0].code() as pe:
        pe.send(right, x[1::2][1:])
    with k[0, 1].code() as pe:
        pe.recv(right, x[:6:2])
    run = k.run()
    assert run.read(x)[0].tolist() == [[0, 10, 0, 11, 0, 12, 0, 99], [11, 10, 12, 11, 99, 12, 0, 99]]
    assert run.read(x[6:])[0, 1].tolist() == [0, 99]
    assert run.read(x[3])[0, 0].tolist() == [11]


@pytest.mark.parametrize(
    ("operation", "given", "expected", "cycles"),
    [
        ("add", "xy", [5, 3, 7, 1, 2], 16 + 5),  # setup and 5 elements at 1 a cycle
        ("sub", "xy", [-3, 1, -1, -1, 2], 16 + 5),
        ("max", "xy", [4, 2, 4, 1, 2], 16 + 5),
        ("mul", "xy", [4, 2, 12, 0, 0], 16 + 10),  # 0.5 a cycle
        ("fma", "xy", [104, 102, 112, 100, 100], 16 + 10),  # adds to 100
        ("copy", "x", [1, 2, 3, 0, 2], 16 + 3),  # 2.44 a cycle: 2.05, rounded up
        ("add", "x3", [4, 5, 6, 3, 5], 16 + 5),
        ("fma", "x2", [102, 104, 106, 100, 104], 16 + 10),
        ("copy", "3", [3, 3, 3, 3, 3], 16 + 3),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_vector_instructions_compute_at_the_wafers_rate(
    dtype: str, operation: Any, given: str, expected: list[int], cycles: int
) -> None:
    k = FabricKernel(1, 1)
    x, y, out = (k.array(name, 5, dtype) for name in ("x", "y", "out"))
    k.set(x, [1, 2, 3, 0, 2])
    k.set(y, [4, 1, 4, 1, 0])
    k.set(out, 100)
    sources = [{"x": x, "y": y}.get(name, name) for name in given]
    with k[0, 0].code() as pe:
        pe.vector(operation, out, *(float(one) if isinstance(one, str) else one for one in sources))
    run = k.run()
    assert run.read(out)[0, 0].tolist() == expected
    assert run.cycles == cycles


def test_float16_vector_instructions_are_faster() -> None:
    """7 elements at 2.92 a cycle: 2.4, rounded up."""
    k = FabricKernel(1, 1)
    x = k.array("x", 7, "float16")
    k.set(x, range(7))
    with k[0, 0].code() as pe:
        pe.vector("fma", x, x, 2.0)
        pe.compute(100)
    run = k.run()
    assert run.read(x)[0, 0].tolist() == [0, 3, 6, 9, 12, 15, 18]
    assert run.cycles == 16 + 3 + 100


def test_pes_start_when_told_and_the_kernel_runs_again_and_again() -> None:
    k, right = pair()
    x = k.array("x", 4)
    with k[0, 0].code() as pe:
        pe.send(right, x)
    with k[0, 1].code() as pe:
        pe.recv_op(right, x)
    k.set(x, 1)
    for _ in range(2):
        assert k.run().read(x)[0].tolist() == [[1] * 4, [2] * 4]
        assert k.run().clock.tolist() == [[11 + 5, 11 + 5 + 6 + 6]]
        assert k.run(start=np.array([[30, 0]])).clock.tolist() == [[30 + 11 + 5, 30 + 11 + 5 + 6 + 6]]


# What is refused


def test_a_kernel_must_fit_the_wafer() -> None:
    with pytest.raises(WseError, match=r"a fabric kernel: .* leaves the mesh of 16×16 PEs; columns 0 to 15 .* work"):
        FabricKernel(1, 17, wafer="mini")
    with pytest.raises(WseError, match=r"a fabric kernel: .* is empty; at least 1×1 works"):
        FabricKernel(0, 3)


def test_a_pe_has_one_code() -> None:
    k = FabricKernel(3, 3)
    k[:, 1].code()
    with pytest.raises(WseError, match=r"PE \(1, 2\) has code already, .* one tile, kept in a variable, works"):
        k[2, :].code()
    k[2, 0].code()


def test_colors_and_memory_end() -> None:
    """24 colors less the runtime's 3; 49152 − 4176 bytes are 11244 words."""
    k = FabricKernel(1, 1)
    for number in range(21):
        k.color(f"c{number}")
    with pytest.raises(WseError, match=r"color c21: the runtime leaves 21 colors, and all are taken; .* works"):
        k.color("c21")
    k.array("most", 11243)
    k.array("rest", 1, "float16")
    with pytest.raises(WseError, match="array more: with it a PE holds 44980 bytes; up to 44976 work"):
        k.array("more", 1, "float16")


@pytest.mark.parametrize(("positions", "start"), [(4, 4), (5, 0), (0, 0)])
def test_switches_have_four_positions(positions: int, start: int) -> None:
    k, right = pair()
    with pytest.raises(WseError, match=f"right: {positions} switch positions from {start}; 1 to 4 work"):
        k[0, 0].switch(right, [("RAMP", "E")] * positions, start=start)


def test_two_inputs_at_once_are_refused_when_they_happen() -> None:
    """PE 0 sends at 2; its wavelet is at hand at 4, and at the next router at 6, as that of a PE 1 that is 2 late."""
    k = FabricKernel(1, 3)
    color, x, got = k.color("both"), k.array("x", 1), k.array("got", 2)
    k[0, 0].route(color, "RAMP", "E")
    k[0, 1].route(color, "W RAMP", "E")
    k[0, 2].route(color, "W", "RAMP")
    with k[0, :2].code() as pe:
        pe.send(color, x)
    k[0, 2].code().recv(color, got)
    assert k.run().links[0, 0].tolist() == [1, 2, 0]
    with pytest.raises(WseError, match=r"both: at PE \(1, 0\) two inputs .* at once in cycle 17; one at a time works"):
        k.run(start=np.array([[0, 2, 0]]))


Wrong = Callable[[FabricKernel, ColorHandle, Array], object]
"""What a user does to a kernel of two PEs, with its color from left to right and an array of 4 elements."""
UNBUILT: dict[str, Wrong] = {
    "row 1 is outside the kernel's 1; 0 to 0 work": lambda k, c, x: k[1, 0],
    "columns 2:None:None of 2: none is there": lambda k, c, x: k[0, 2:],
    "color d: queue 8; 0 to 7 work": lambda k, c, x: k.color("d", queue=8),
    "array y: dtype float64; float32, float16, .* work": lambda k, c, x: k.array("y", 4, "float64"),
    "array y: 0 elements; 1 or more work": lambda k, c, x: k.array("y", 0),
    "array x: element 4 is outside its 4; 0 to 3 work": lambda k, c, x: x[4],
    "array x.*: a step above 0 works": lambda k, c, x: x[::-1],
    "array y: float16 is packed .*; float32 has": lambda k, c, x: k.array("y", 4, "float16")[:2],
    r"array x: values of shape \(2, 1, 4\); \(1, 2, 4\) works": lambda k, c, x: k.set(x, np.zeros((2, 1, 4))),
    "right: unknown port 'UP'; E W N S RAMP work": lambda k, c, x: k[0, 0].route(c, "RAMP", "E UP"),
    "right: a filter needs a period above 0": lambda k, c, x: k[0, 1].filter(c, limit=1),
    "right: a filter of 4 wavelets in 3; a limit of 1 to 3": lambda k, c, x: k[0, 1].filter(c, limit=4, period=3),
    "right: a filter needs .* 0 <= low <= high <= 65535": lambda k, c, x: k[0, 1].filter(c, low=3, high=2),
}
UNWRITTEN: dict[str, Callable[[FabricKernel, Listing, ColorHandle, Array], object]] = {
    "y is 3 × float32; 4 × float32, as x": lambda k, pe, c, x: pe.vector("add", x, k.array("y", 3), 1),
    "y is 4 × int32; 4 × float32, as x": lambda k, pe, c, x: pe.vector("add", x, k.array("y", 4, "int32"), 1),
    "y is int32; whole numbers work": lambda k, pe, c, x: pe.vector("copy", k.array("y", 4, "int32"), 1.5),
    "vector add: 1 sources; 2 work": lambda k, pe, c, x: pe.vector("add", x, 1),
    "vector copy: x has a stride of 2; .* work": lambda k, pe, c, x: pe.vector("copy", x[::2], 1),
    "vector exp: unknown; add, sub, .* work": lambda k, pe, c, x: pe.vector("exp", x, 1),  # type: ignore[arg-type]
    "recv_op: unknown operation 'min'; add": lambda k, pe, c, x: pe.recv_op(c, x, "min"),  # type: ignore[arg-type]
    "value 256: up to eight of .* 0 to 255 work": lambda k, pe, c, x: pe.send_control(c, "advance", value=256),
    "'turn'.* nop, advance, reset, teardown": lambda k, pe, c, x: pe.send_control(c, "turn"),
    "with value 0: up to eight of": lambda k, pe, c, x: pe.send_control(c, *["nop"] * 9),
    "activates a task of other PEs; .* works": lambda k, pe, c, x: pe.send(
        c, x, background=True, activates=k[0, 1].task()
    ),
    "only a background instruction activates": lambda k, pe, c, x: pe.send(c, x, activates=pe.tile.task()),
}
UNRUN: dict[str, Wrong] = {
    r"route right .* at PE \(1, 0\) leaves the mesh to the east": lambda k, c, x: k[0, 1].route(c, "W", "E"),
    r"route right .* at PE \(1, 0\) leaves the mesh to the south": lambda k, c, x: k[0, 1].switch(
        c, [("W", "RAMP"), ("W", "S")]
    ),
    r"route right .* at PE \(1, 0\) waits for wavelets from the west that nobody sends": lambda k, c, x: k[0, 0].route(
        c, "RAMP", "RAMP"
    ),
    r"route right .* at PE \(0, 0\) sends to the east, where the next router does not": lambda k, c, x: k[0, 1].route(
        c, "RAMP", "RAMP"
    ),
    r"right: PE \(1, 0\) sends it, but its router takes none from the RAMP; .* works": lambda k, c, x: (
        k[:, :].code().send(c, x)
    ),
    r"right: PE \(0, 0\) receives it, but its router gives none to the RAMP; .* works": lambda k, c, x: k[0, ::2].task(
        on_control=c
    ),
    r"deadlock in cycle \d+: PE \(1, 0\) in `recv` of right → .*, and nothing more will come": lambda k, c, x: (
        k[0, 1].code().recv(c, x)
    ),
}


@pytest.mark.parametrize("said", UNBUILT)
def test_a_kernel_refuses_what_cannot_be(said: str) -> None:
    k, right = pair()
    with pytest.raises(WseError, match=said) as caught:
        UNBUILT[said](k, right, k.array("x", 4))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("said", UNWRITTEN)
def test_code_refuses_what_cannot_be(said: str) -> None:
    k, right = pair()
    with pytest.raises(WseError, match=said) as caught:
        UNWRITTEN[said](k, k[0, 0].code(), right, k.array("x", 4))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("said", UNRUN)
def test_a_run_refuses_what_cannot_work(said: str) -> None:
    k, right = pair()
    UNRUN[said](k, right, k.array("x", 4))
    with pytest.raises(WseError, match=said) as caught:
        k.run()
    assert "\n" not in str(caught.value)


def test_two_instructions_of_a_pe_cannot_use_a_color_at_once() -> None:
    k, right = pair()
    x = k.array("x", 4)
    with k[0, 0].code() as pe:
        pe.send(right, x, background=True)
        pe.send(right, x)
    said = r"right: two instructions of PE \(0, 0\) use it at once; a `wait` between them, or another color, works"
    with pytest.raises(WseError, match=said):
        k.run()


def test_a_run_refuses_starts_of_another_shape() -> None:
    with pytest.raises(WseError, match=r"start of shape \(3,\); \(2, 3\) works"):
        FabricKernel(2, 3).run(start=np.zeros(3, dtype=np.int64))
