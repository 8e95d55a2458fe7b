"""Network workloads: traffic for the benchmark and for studies of the fabric, and what is measured on them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from time import perf_counter

import numpy as np

from wse_emu.engines.assembly import assemble_body
from wse_emu.engines.code import Code, Color, FabricProgram, Instruction
from wse_emu.engines.semantics import due
from wse_emu.engines.wavelet import Machine
from wse_emu.engines.wavelet.planes import Plane
from wse_emu.errors import WseError
from wse_emu.fabric.directions import DIRECTIONS, Direction
from wse_emu.fabric.region import Region
from wse_emu.fabric.routes import RAMP, port
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import Body, Builder, Layout, Value

TAP = 24
"""PEs between two that take a stream: no PE takes more than one color each way on a line."""
CHUNK = 8
"""Wavelets that a source sends at a time when it does not use its link to the full."""


@dataclass(frozen=True)
class Traffic:
    """How much traffic a workload makes: ``colors``, ``load`` of the links (0 to 1), ``wavelets`` per stream."""

    rows: int
    cols: int
    colors: int = 4
    load: float = 1.0
    wavelets: int = 256


def streams(spec: WaferSpec, traffic: Traffic) -> FabricProgram:
    """Rows and columns of multicast streams, all four ways: color c goes E, S, W, N in turn, from edge to edge.

    Every :data:`TAP`-th PE takes the stream, and the last one. Colors that go the same way share the links.
    """
    if min(traffic.rows, traffic.cols) < 6:
        raise WseError(f"streams on {traffic.rows}×{traffic.cols} PEs: at least 6×6 work")
    if not 0 < traffic.load <= 1 or not 1 <= traffic.colors <= 4 * 6:
        raise WseError(
            f"streams of {traffic.colors} colors at load {traffic.load:g}: 1 to 24 colors, a load above 0 to 1 work"
        )
    ways = (Direction.EAST, Direction.SOUTH, Direction.WEST, Direction.NORTH)
    colors = [_stream_color(traffic, ways[c % 4], c) for c in range(traffic.colors)]
    _part_taps(colors)
    roles = np.zeros((traffic.rows, traffic.cols), dtype=np.uint64)
    for c, color in enumerate(colors):
        roles |= (color.inputs[0] == RAMP).astype(np.uint64) << np.uint64(2 * c)
        roles |= ((color.outputs[0] & RAMP) != 0).astype(np.uint64) << np.uint64(2 * c + 1)
    kinds, which = np.unique(roles, return_inverse=True)
    code = Code()
    entries = np.array([code.enter(_stream_code(spec, traffic, int(kind))) for kind in kinds])
    code.refer(entries[which.ravel()].tolist(), Code.IN_REGION, 0, None, Region(0, 0, traffic.cols, traffic.rows))
    code.end()
    return _program(spec, traffic, colors, code)


def _stream_color(traffic: Traffic, way: Direction, index: int) -> Color:
    color = Color.empty(traffic.rows, traffic.cols)
    along = color.inputs[0], color.outputs[0]
    upright = way in {Direction.NORTH, Direction.SOUTH}
    inputs, outputs = (
        (a.T if upright else a)[:, :: -1 if way in {Direction.WEST, Direction.NORTH} else 1] for a in along
    )
    # the two outer lines belong to the ends of the streams across, so that no PE needs too many microthreads
    inputs, outputs = inputs[2:-2], outputs[2:-2]
    inputs[:, 0], inputs[:, 1:-1] = RAMP, port(way.opposite)
    outputs[:, :-2] = port(way)
    outputs[:, -2] |= RAMP
    outputs[:, 2 + index % TAP : -2 : TAP] |= RAMP
    return color


def _part_taps(colors: list[Color]) -> None:
    """No PE taps two streams: it takes one wavelet at a time, and would halve both."""
    tapped = np.zeros(colors[0].outputs[0].shape, dtype=bool)
    for color in colors:
        outputs = color.outputs[0]
        taps = ((outputs & RAMP) != 0) & ((outputs & ~np.uint8(RAMP)) != 0)
        outputs[taps & tapped] &= ~np.uint8(RAMP)
        tapped |= taps


def _stream_code(spec: WaferSpec, traffic: Traffic, roles: int) -> list[Instruction]:
    """What a PE does that has these ``roles``: bit 2c, it sends color c; bit 2c + 1, it takes it."""
    sends = [c for c in range(traffic.colors) if roles >> (2 * c) & 1]
    takes = [c for c in range(traffic.colors) if roles >> (2 * c + 1) & 1]
    told = [Instruction("recv", traffic.wavelets, source=c, background=True) for c in takes]
    if not sends or traffic.load == 1:
        told += [Instruction("send", traffic.wavelets, target=c, background=True) for c in sends]
        return [*told, Instruction("wait")] if told else []
    gap = due(round(len(sends) * CHUNK * (1 / traffic.load - 1)), Fraction(spec.link_interval))
    for _ in range(traffic.wavelets // CHUNK):
        told += [Instruction("send", CHUNK, target=c) for c in sends]
        told.append(Instruction("compute", gap))
    rest = traffic.wavelets % CHUNK
    return told + [Instruction("send", rest, target=c) for c in sends if rest]


def transpose(spec: WaferSpec, traffic: Traffic) -> FabricProgram:
    """A vector from a column to a row: PE (0, i) sends east along row i; on the diagonal it turns south to the last
    row.

    The turn is a `recv_op_send` from one color to the other, since the ways of different rows cross.
    """
    side = min(traffic.rows, traffic.cols)
    across, down = Color.empty(traffic.rows, traffic.cols), Color.empty(traffic.rows, traffic.cols)
    y, x = np.indices((side, side))
    _route(across, (y, x), x == 0, x < y, x == y, Direction.EAST, y >= x)
    _route(down, (y, x), y == x, y < side - 1, y == side - 1, Direction.SOUTH, y >= x)
    for color in (across, down):
        for at in ((0, 0), (side - 1, side - 1)):
            color.inputs[0][at] = color.outputs[0][at] = 0
    code = Code()
    n = traffic.wavelets
    send, turn = Instruction("send", n, target=0), Instruction("recv_op_send", n, 0, 1)
    take, straight = Instruction("recv", n, source=1), Instruction("send", n, target=1)
    last, only = Instruction("recv", n, source=0), side - 1
    down.inputs[0][0, 0], down.outputs[0][0, 0] = RAMP, port(Direction.SOUTH)
    across.inputs[0][only, only], across.outputs[0][only, only] = port(Direction.WEST), RAMP
    entries = np.full((traffic.rows, traffic.cols), -1, dtype=np.int64)
    diagonal = np.arange(1, only)
    entries[diagonal, diagonal] = code.enter([turn])
    entries[1:side, 0] = code.enter([send])
    entries[only, : side - 1] = code.enter([take])
    entries[0, 0] = code.enter([straight])
    entries[only, 0] = code.enter([send, take])
    entries[only, only] = code.enter([last])
    code.refer(entries.ravel().tolist(), Code.IN_REGION, 0, None, Region(0, 0, traffic.cols, traffic.rows))
    code.end()
    return _program(spec, traffic, [across, down], code)


def _route(  # noqa: PLR0917
    color: Color,
    at: tuple[np.ndarray, np.ndarray],
    first: np.ndarray,
    passes: np.ndarray,
    last: np.ndarray,
    way: Direction,
    inside: np.ndarray,
) -> None:
    """Straight ways from where ``first`` to where ``last``, through where ``passes``."""
    color.inputs[0][at] = np.where(inside, np.where(first, RAMP, port(way.opposite)), 0)
    color.outputs[0][at] = np.where(inside, np.where(passes, port(way), 0) | np.where(last, RAMP, 0), 0)


def neighbour_shift(spec: WaferSpec, traffic: Traffic) -> FabricProgram:
    """Every PE to its eastern neighbour at once, on two colors that take turns along the row."""
    colors = [Color.empty(traffic.rows, traffic.cols) for _ in range(2)]
    for parity, color in enumerate(colors):
        color.inputs[0][:, parity : traffic.cols - 1 : 2] = RAMP
        color.outputs[0][:, parity : traffic.cols - 1 : 2] = port(Direction.EAST)
        color.inputs[0][:, parity + 1 :: 2] = port(Direction.WEST)
        color.outputs[0][:, parity + 1 :: 2] = RAMP
    n, told = traffic.wavelets, []
    for x in range(traffic.cols):
        send = [Instruction("send", n, target=x % 2, background=True)] if x < traffic.cols - 1 else []
        told.append([*send, *([Instruction("recv", n, source=(x - 1) % 2)] if x else []), Instruction("wait")])
    code = Code()
    code.blocks(told, Code.ALONG_X, 0)
    code.end()
    return _program(spec, traffic, colors, code)


def many_to_one(spec: WaferSpec, traffic: Traffic) -> FabricProgram:
    """Everything to the west end of each row: a PE sends its own wavelets on, then those that come from the east.

    PEs send on two colors in turn, so no router sees two inputs; the last link carries all of it.
    """
    b = Builder("many_to_one", traffic.rows, traffic.cols)
    program = assemble_body(b.build(b.reduce(_every(b, traffic.wavelets), axis="x", algorithm="chain")), spec)
    n, far = traffic.wavelets, traffic.cols - 1
    chain = [program.code.list_at(index) for index in _entries(program, traffic.cols)]
    told = []
    for x, instructions in enumerate(chain):
        source = instructions[0].source if x < far else -1
        target = instructions[0].target if x else -1
        own = [Instruction("send", n, target=target)] if x else []
        passed = Instruction("recv_op_send", n * (far - x), source, target)
        taken = Instruction("recv", n * (far - x), source=source)
        told.append([*own, *([passed if x else taken] if x < far else [])])
    code = Code()
    code.blocks(told, Code.ALONG_X, 0)
    code.end()
    return FabricProgram(spec, traffic.rows, traffic.cols, program.colors, code, program.starts, names=program.names)


def _entries(program: FabricProgram, cols: int) -> list[int]:
    return program.code.first[program.code.base[0] : program.code.base[0] + cols]


def _program(spec: WaferSpec, traffic: Traffic, colors: list[Color], code: Code) -> FabricProgram:
    starts = np.zeros((traffic.rows, traffic.cols), dtype=np.int32)
    return FabricProgram(spec, traffic.rows, traffic.cols, colors, code, starts)


def _every(b: Builder, elements: int) -> Value:
    return b.input("x", (b.rows, b.cols, elements), Layout(("y", "x", None)))


def _collective(make: Callable[[Builder, Value], Value]) -> Callable[[WaferSpec, Traffic], FabricProgram]:
    def build(spec: WaferSpec, traffic: Traffic) -> FabricProgram:
        b = Builder("workload", traffic.rows, traffic.cols)
        body: Body = b.build(make(b, _every(b, traffic.wavelets)))
        return assemble_body(body, spec)

    return build


def _both_axes(make: Callable[[Builder, Value, str], Value]) -> Callable[[Builder, Value], Value]:
    return lambda b, x: make(b, make(b, x, "x"), "y")


ALGORITHMS = ("chain", "two_way", "tree", "two_phase", "ktree")
WORKLOADS: dict[str, tuple[str, Callable[[WaferSpec, Traffic], FabricProgram]]] = {
    "streams": ("row and column streams with multicast taps, four ways", streams),
    "transpose": ("a column of PEs to a row, turning on the diagonal", transpose),
    "neighbour_shift": ("every PE to its eastern neighbour at once", neighbour_shift),
    "many_to_one": ("all PEs of a row to its end", many_to_one),
    "broadcast": (
        "from one corner to the whole mesh",
        _collective(_both_axes(lambda b, x, axis: b.broadcast(x, axis=axis))),  # type: ignore[arg-type]
    ),
    "ring_shift": (
        "one step around interleaved rings, along rows and columns",
        _collective(_both_axes(lambda b, x, axis: b.shift(x, axis=axis))),  # type: ignore[arg-type]
    ),
    **{
        f"{kind}:{algorithm}": (
            f"{kind} of the whole mesh, along rows and then columns",
            _collective(_both_axes(lambda b, x, axis, k=kind, a=algorithm: getattr(b, k)(x, axis=axis, algorithm=a))),  # type: ignore[misc]
        )
        for kind in ("reduce", "all_reduce")
        for algorithm in ALGORITHMS
    },
}
"""Name -> (what it is, how it is built)."""


def workload(name: str, spec: WaferSpec, traffic: Traffic) -> FabricProgram:
    """The workload ``name``; WseError for an unknown one, or a mesh that the wafer does not have."""
    if name not in WORKLOADS:
        raise WseError(f"unknown workload {name!r}; what works: {', '.join(WORKLOADS)}")
    if min(traffic.rows, traffic.cols, traffic.wavelets) < 1:
        raise WseError(f"{traffic.wavelets} wavelets on {traffic.rows}×{traffic.cols} PEs: at least 1 of each works")
    if traffic.rows > spec.rows or traffic.cols > spec.columns:
        raise WseError(
            f"a mesh of {traffic.rows}×{traffic.cols} PEs is larger than {spec.name} with {spec.rows}×{spec.columns}"
        )
    return WORKLOADS[name][1](spec, traffic)


@dataclass
class Meter:
    """Looks on while a machine runs: waits by color, and with ``latencies`` when each wavelet left and was taken."""

    latencies: bool = False
    delivered: int = 0
    """Wavelets that instructions took."""
    waits: dict[int, int] = field(default_factory=dict)
    sent: list[np.ndarray] = field(default_factory=list)
    taken: list[np.ndarray] = field(default_factory=list)

    def note(self, time: int, machine: Machine, moved: Plane, taken: Plane, sent: Plane) -> None:
        """One cycle; planes ``[live, words]``."""
        self.delivered += int(np.bitwise_count(taken).sum())
        waiting = np.bitwise_count(machine.fabric.heads & ~moved).sum(axis=-1).tolist()
        for color, waits in zip(machine.fabric.bank.active, waiting, strict=True):
            self.waits[color] = self.waits.get(color, 0) + waits
        if self.latencies:
            for place, color in enumerate(machine.fabric.bank.active):
                for planes, rows in ((sent, self.sent), (taken, self.taken)):
                    pes = machine.grid.members(planes[place])
                    if pes.size:
                        rows.append(np.stack([np.full_like(pes, color), pes, np.full_like(pes, time)], axis=1))


@dataclass(frozen=True)
class Measured:
    """What a workload did. Cycles are emulated ones; seconds are of this machine."""

    cycles: int
    stepped: int
    seconds: float
    router_cycles_per_second: float
    """PEs × cycles in which anything could happen, a second."""
    hops: int
    """Wavelets over links."""
    delivered: int
    """Wavelets that PEs took."""
    busiest_link: float
    """Share of the link's capacity, 0 to 1, that the busiest one carried."""
    crowded: int
    limit: str
    """What held the traffic up most."""
    latency: dict[str, float] | None
    """Cycles from sending to taking: median, p95, max."""
    state_bytes: int
    """Of the planes that a cycle works on."""


def measure(program: FabricProgram, *, latencies: bool = False, metered: bool = True) -> Measured:
    """Run ``program`` and measure it. ``metered=False`` leaves out what costs time: the limit and deliveries."""
    meter = Meter(latencies) if metered or latencies else None
    machine = Machine(program, recorder=meter)
    started = perf_counter()
    outcome = machine.run()
    seconds = perf_counter() - started
    cycles = max(1, outcome.cycles)
    busiest = float(outcome.links.max() * program.spec.link_interval / cycles)
    return Measured(
        outcome.cycles,
        outcome.stepped,
        seconds,
        program.rows * program.cols * outcome.stepped / seconds,
        int(outcome.links.sum()),
        0 if meter is None else meter.delivered,
        busiest,
        outcome.crowded,
        "" if meter is None else _limit(program, meter, outcome.links, busiest),
        latency(program, meter) if latencies and meter is not None else None,
        machine.peak_state_bytes,
    )


def _limit(program: FabricProgram, meter: Meter, links: np.ndarray, busiest: float) -> str:
    if busiest > 0.9:
        way, y, x = np.unravel_index(int(links.argmax()), links.shape)
        return f"link {DIRECTIONS[int(way)].name.lower()} of PE ({x}, {y}), {busiest:.0%} of its capacity"
    color = max(meter.waits, key=lambda c: meter.waits[c], default=-1)
    if color < 0 or not meter.waits[color]:
        return "the PEs: no wavelet waited"
    return f"queues of {program.color_name(color)}: {meter.waits[color]:,} cycles of waiting heads"


def latency(program: FabricProgram, meter: Meter) -> dict[str, float] | None:
    """Cycles between the sending of the k-th wavelet of a PE and its taking, wherever it is taken."""
    if not meter.taken or not meter.sent:
        return None
    stride = -(-program.cols // 64) * 64
    found = []
    sent, taken = np.concatenate(meter.sent), np.concatenate(meter.taken)
    for color in np.unique(taken[:, 0]).tolist():
        source = sources_of(program.colors[color], stride)
        out, into = sent[sent[:, 0] == color], taken[taken[:, 0] == color]
        order = {pe: np.sort(out[out[:, 1] == pe, 2]) for pe in np.unique(out[:, 1]).tolist()}
        for pe in np.unique(into[:, 1]).tolist():
            times = np.sort(into[into[:, 1] == pe, 2])
            begun = order.get(int(source[pe]))
            if begun is not None and len(begun) >= len(times):
                found.append(times - begun[: len(times)])
    if not found:
        return None
    every = np.concatenate(found)
    return {"median": float(np.median(every)), "p95": float(np.quantile(every, 0.95)), "max": float(every.max())}


def sources_of(color: Color, stride: int) -> np.ndarray:
    """The PE (a bit) whose wavelets come to each PE on ``color``, walking all routes back at once."""
    rows, cols = color.inputs.shape[1:]
    y, x = np.indices((rows, cols))
    own = y * stride + x
    before = own.copy()
    for way in DIRECTIONS:
        dx, dy = way.step
        before[(color.inputs[0] & port(way)) != 0] += dx + dy * stride
    flat = np.arange(rows * stride)
    flat[own.ravel()] = before.ravel()
    for _ in range((rows + cols).bit_length() + 1):
        flat = flat[flat]
    return flat
