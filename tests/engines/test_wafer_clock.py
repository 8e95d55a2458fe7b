from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.streams import EAST, NORTH, SOUTH, WEST
from wse_emu.engines.moves import move_plan
from wse_emu.engines.timing import BodyClock
from wse_emu.engines.wafer_clock import TimingEngine, TokenTiming
from wse_emu.fabric import Region
from wse_emu.hardware.wafer import WaferSpec, load_wafer
from wse_emu.kernels.decoder import Shapes, Style, angles_body, embed_body, head_body, layer_body
from wse_emu.models.config import ModelConfig
from wse_emu.models.rope import Rope
from wse_emu.program import Body, Builder, Call, Layout, Program, Transfer

SPEC = replace(load_wafer("wse3"), columns=40, rows=24)
CONFIG = ModelConfig(
    family="llama",
    vocabulary=37,
    hidden=14,
    layers=6,
    heads=4,
    kv_heads=2,
    head_dim=4,
    intermediate=11,
    context=64,
    norm_epsilon=1e-5,
    rope=Rope(theta=10000.0, pairing="half", scaling=None),
)
POSITIONS = 30


def shared(rows: int = 5, cols: int = 6, algorithm: str = "ktree:2", *, on_host: bool = False) -> Program:
    style, shapes, region = Style(reduce=algorithm), Shapes(CONFIG, cols, 2), Region(3, 2, cols, rows)
    layer = layer_body(shapes, style, rows, positions=POSITIONS)
    layers = (Call(layer, region, ("hidden", "cos", "sin"), ("hidden",), f"layers.{i}.") for i in range(CONFIG.layers))
    return Program(
        "shared",
        (
            Call(embed_body(CONFIG, style, rows, cols), region, ("token",), ("hidden",)),
            Call(angles_body(shapes, style, rows), region, (), ("cos", "sin")),
            *layers,
            Call(head_body(CONFIG, style, rows, cols, on_host=on_host), region, ("hidden",), ("logits", "token")),
        ),
    )


AROUND = ((9, 1), (16, 1), (24, 3), (24, 12), (14, 18), (2, 9))
IN_A_ROW = tuple((9 + 4 * i, 1) for i in range(6))


def pipeline(rows: int = 4, cols: int = 6, corners: tuple[tuple[int, int], ...] = AROUND) -> Program:
    """Six layers, to the right, below, and back to the left, with a wider region for embedding and head."""
    style, shapes = Style(reduce="two_phase"), Shapes(CONFIG, cols, 2)
    ends = Region(0, 1, 8, rows)
    angles, layer = angles_body(shapes, style, rows), layer_body(shapes, style, rows, positions=POSITIONS)
    steps: list[Call | Transfer] = [Call(embed_body(CONFIG, style, rows, 8), ends, ("token",), ("hidden",))]
    before = ends
    for i, (x, y) in enumerate(corners):
        region = Region(x, y, cols, rows)
        steps += [
            Call(angles, region, (), ("cos", "sin")),
            Transfer("hidden", layer.inputs[0], before, region),
            Call(layer, region, ("hidden", "cos", "sin"), ("hidden",), f"layers.{i}."),
        ]
        before = region
    head = Call(head_body(CONFIG, style, rows, 8), ends, ("hidden",), ("logits", "token"))
    return Program("pipeline", (*steps, Transfer("hidden", layer.inputs[0], before, ends), head))


def route(move: Transfer, row: int, column: int) -> list[tuple[int, int]]:
    """PEs (y, x) from where row ``row`` leaves to that row and ``column`` of the target: along y, then along x."""
    x, y = int(move_plan(move.source, move.target).columns[row]), move.source.y + row
    path = [(y, x)]
    while y != move.target.y + row:
        y += 1 if move.target.y + row > y else -1
        path.append((y, x))
    while x != move.target.x + column:
        x += 1 if move.target.x + column > x else -1
        path.append((y, x))
    return path


def move_links(spec: WaferSpec, move: Transfer, wavelets: int) -> np.ndarray:
    """A multicast crosses every link of its routes once."""
    ways = {(0, 1): EAST, (0, -1): WEST, (-1, 0): NORTH, (1, 0): SOUTH}
    links = np.zeros((4, spec.rows, spec.columns), dtype=np.int64)
    for row in range(move.source.height):
        crossed = set()
        for column in range(move.target.width):
            path = route(move, row, column)
            crossed |= {(ways[b[0] - a[0], b[1] - a[1]], *a) for a, b in pairwise(path)}
        for link in crossed:
            links[link] += wavelets
    return links


@dataclass
class Fresh:
    """The same program with every body run anew, on clocks that are never taken relative to anything."""

    program: Program
    spec: WaferSpec
    clocks: dict[Region, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.done: dict[tuple[int, int], int] = {}
        for call in self.program.calls:
            self.clocks[call.region] = np.zeros((call.region.height, call.region.width), dtype=np.int64)
        self.links = np.zeros((4, self.spec.rows, self.spec.columns), dtype=np.int64)

    @property
    def latest(self) -> int:
        return max(int(clock.max()) for clock in self.clocks.values())

    def token(self, position: int) -> int:
        """Cycles of the token."""
        begin = self.latest
        for step in self.program.steps:
            if isinstance(step, Call):
                self._call(step, position)
            else:
                self._move(step)
        return self.latest - begin

    def _call(self, call: Call, position: int) -> None:
        area = call.region
        seams = self.spec.seams_in(area.x, area.y, area.width, area.height)
        body = BodyClock(self.spec, call.body, self.clocks[call.region], position // call.region.height + 1, seams)
        body.run()
        self.clocks[call.region] = body.clock + body.offset
        self.links[:, area.y : area.bottom, area.x : area.right] += body.links

    def _over_seams(self, move: Transfer, row: int) -> int:
        between = sorted((move.source.y + row, move.target.y + row))
        return self.spec.seam_cycles * sum(between[0] < seam <= between[1] for seam in self.spec.row_seams)

    def _move(self, move: Transfer) -> None:
        """Rows leave through columns of their own here, so that no two streams share a link."""
        assert move.source.width >= move.source.height or move.source.y == move.target.y
        wavelets, spec = -(-CONFIG.hidden // move.source.height), self.spec
        source, target = self.clocks[move.source], self.clocks[move.target]
        busy = spec.stream_setup + ceil(wavelets * spec.link_interval)
        for row, leaves in enumerate(move_plan(move.source, move.target).columns - move.source.x):
            sent = int(source[row, leaves]) + busy
            source[row, leaves] = sent
            entry, down = move.source.x + leaves - move.target.x, abs(move.target.y - move.source.y)
            for columns in (range(move.target.width), reversed(range(move.target.width))):
                passed, at = sent + spec.ramp_cycles + down * spec.hop_cycles + self._over_seams(move, row), entry
                for column in columns:
                    if (column - entry) * (1 if isinstance(columns, range) else -1) < 0:
                        continue
                    # a router passes the stream on when its own PE has begun to take it
                    passed = max(passed + abs(column - at) * spec.hop_cycles, int(target[row, column]) + busy)
                    at = column
                    self.done[row, column] = passed + spec.ramp_cycles + spec.receive_cycles
            target[row] = [self.done[row, column] for column in range(move.target.width)]
        self.links += move_links(spec, move, wavelets)


def sequence(engine: TimingEngine, positions: range) -> Iterator[TokenTiming]:
    pattern = 0
    for position in positions:
        timing = engine.token(position, pattern)
        pattern = timing.end
        yield timing


PROGRAMS = {"shared": shared(), "on host": shared(3, 5, "tree", on_host=True), "pipeline": pipeline()}


@pytest.mark.parametrize("name", PROGRAMS)
def test_reuse_of_layers_and_tokens_changes_nothing(name: str) -> None:
    program = PROGRAMS[name]
    engine, fresh = TimingEngine(program, SPEC), Fresh(program, SPEC)
    timings = list(sequence(engine, range(14)))
    assert [timing.cycles for timing in timings] == [fresh.token(position) for position in range(14)]
    np.testing.assert_array_equal(engine.links(timings), fresh.links)
    first = min(int(clock.min()) for clock in fresh.clocks.values())
    expected = np.full((SPEC.rows, SPEC.columns), -1)
    for region, clock in fresh.clocks.items():
        expected[region.y : region.bottom, region.x : region.right] = clock - first
    np.testing.assert_array_equal(engine.clocks(timings[-1]), expected)


@pytest.mark.parametrize("name", PROGRAMS)
def test_kernel_cycles_sum_to_the_token(name: str) -> None:
    for timing in sequence(TimingEngine(PROGRAMS[name], SPEC), range(9)):
        assert sum(timing.cycles_by_kernel.values()) == timing.cycles
        assert min(timing.cycles_by_kernel.values()) >= 0
        assert timing.cycles_by_kernel["attention"] > 0


@pytest.mark.parametrize("name", ["shared", "pipeline"])
def test_layers_that_look_alike_are_timed_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[str] = []
    run = BodyClock.run

    def noted(clock: BodyClock) -> None:
        timed.append(clock.body.name)
        run(clock)

    monkeypatch.setattr(BodyClock, "run", noted)
    program = PROGRAMS[name] if name == "shared" else pipeline(cols=4, corners=IN_A_ROW)
    engine = TimingEngine(program, SPEC)
    timing = engine.token(0)
    assert 1 <= timed.count("layer") < CONFIG.layers
    before = list(timed)
    engine.token(1)
    assert engine.token(0) is timing
    assert timed == before, "a token with as many cache slots is known already"


@pytest.mark.parametrize("name", PROGRAMS)
def test_later_tokens_never_take_fewer_cycles(name: str) -> None:
    engine = TimingEngine(PROGRAMS[name], SPEC)
    cycles = [engine.token(position).cycles for position in range(POSITIONS)]
    assert cycles == sorted(cycles)
    assert cycles[-1] > cycles[0]
    rows = PROGRAMS[name].calls[0].region.height
    assert len(set(cycles)) <= -(-POSITIONS // rows), "the cycles change when a row gets another slot"


@pytest.mark.parametrize("name", PROGRAMS)
def test_links_add_up_over_tokens(name: str) -> None:
    engine = TimingEngine(PROGRAMS[name], SPEC)
    one, other = engine.token(0), engine.token(POSITIONS - 1)
    np.testing.assert_array_equal(engine.links([one, one]), 2 * engine.links([one]))
    np.testing.assert_array_equal(engine.links([one, other, one]), 2 * engine.links([one]) + engine.links([other]))
    assert not engine.links([]).any()


def test_waiting_for_the_host_costs_two_ways_across_the_edge() -> None:
    """The logits leave and the host answers, each 5 µs at 1.1 GHz: the PEs that chose alone did not wait."""
    waits, alone = (TimingEngine(shared(on_host=on_host), SPEC).token(0) for on_host in (True, False))
    bits = 32 * CONFIG.vocabulary
    edge = ceil((bits / SPEC.edge_bits_per_second + 2 * SPEC.edge_latency_seconds) * SPEC.clock_hz)
    assert waits.cycles - alone.cycles == edge
    assert (np.unique(TimingEngine(shared(on_host=True), SPEC).clocks(waits)) <= 0).all()


def idle(rows: int, cols: int) -> Body:
    b = Builder("idle", rows, cols)
    return b.build(b.input("x", (rows * 3,), Layout(("y",))))


corners = st.tuples(st.integers(0, 30), st.integers(0, 18))


@settings(max_examples=150, deadline=None)
@given(rows=st.integers(1, 6), widths=st.tuples(st.integers(1, 9), st.integers(1, 9)), start=corners, stop=corners)
def test_wavelets_of_a_move_are_on_the_links_of_its_routes(
    rows: int, widths: tuple[int, int], start: tuple[int, int], stop: tuple[int, int]
) -> None:
    source, target = (Region(*corner, width, rows) for corner, width in zip((start, stop), widths, strict=True))
    if source == target:
        return
    value = idle(rows, widths[1]).inputs[0]
    move = Transfer("x", value, source, target)
    calls = [Call(idle(rows, region.width), region, ("x",), ("x",)) for region in (source, target)]
    engine = TimingEngine(Program("move", (calls[0], move, calls[1])), SPEC)
    timing = engine.token(0)
    np.testing.assert_array_equal(engine.links([timing]), move_links(SPEC, move, 3))
    assert timing.cycles_by_kernel == {"move": timing.cycles}
