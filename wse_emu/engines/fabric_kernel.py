"""Write a kernel for the fabric itself: routes, memory and instructions on rectangles of PEs; run it, read it back.

>>> k = FabricKernel(rows=1, cols=2)
>>> x, color = k.array("x", 4), k.color("right")
>>> k[0, 0].route(color, "RAMP", "E")
>>> k[0, 1].route(color, "W", "RAMP")
>>> with k[0, 0].code() as pe:
...     pe.send(color, x)
>>> with k[0, 1].code() as pe:
...     pe.recv_op(color, x, "add")
>>> k.set(x, [[[1, 2, 3, 4], [10, 20, 30, 40]]])
>>> run = k.run()
>>> run.read(x)[0, 1].tolist(), run.cycles
([11.0, 22.0, 33.0, 44.0], 19)

``docs/fabric-kernels.md`` has a worked example; ``docs/machine.md`` says what every instruction costs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from wse_emu.engines.code import Code, Color, FabricProgram, Filter, Instruction, Operand, Pop, Vector, control
from wse_emu.engines.wavelet.engine import Machine, Outcome
from wse_emu.engines.wavelet.payload import COMBINE, KINDS
from wse_emu.errors import WseError
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region
from wse_emu.fabric.routes import PORTS, Route, check_route
from wse_emu.hardware.wafer import WaferSpec, load_wafer

Index = int | slice
WORD = 4
"""Bytes."""
SOURCES = {"add": 2, "sub": 2, "mul": 2, "max": 2, "copy": 1, "fma": 2}
"""How many sources each vector instruction has."""


@dataclass(frozen=True)
class Array:
    """Elements at the same place in the memory of every PE; a slice of it is one, too (of 32-bit elements: any)."""

    name: str
    address: int
    elements: int
    dtype: str = "float32"
    stride: int = 1

    @property
    def words(self) -> int:
        """32-bit words, and wavelets when it is sent."""
        return -(-self.elements * KINDS[self.dtype].itemsize // WORD)

    def __getitem__(self, part: Index) -> "Array":
        """Some of the elements; one of them is an array of one."""
        if KINDS[self.dtype].itemsize != WORD:
            raise WseError(f"array {self.name}: {self.dtype} is packed two to a word and has no slices; float32 has")
        if isinstance(part, int):
            part = _slice(part, self.elements, f"array {self.name}: element", f"its {self.elements}")
        start, stop, step = part.indices(self.elements)
        if step < 1:
            raise WseError(f"array {self.name}[{part.start}:{part.stop}:{part.step}]: a step above 0 works")
        count = len(range(start, stop, step))
        return replace(self, address=self.address + start * self.stride, elements=count, stride=self.stride * step)


@dataclass(frozen=True)
class ColorHandle:
    """A color of a kernel."""

    name: str
    index: int


@dataclass(eq=False)
class Listing:
    """The instructions of one task, as they are written. Used as a context: ``with tile.code() as pe``."""

    tile: "Tile"
    told: list[Instruction] = field(default_factory=list)
    index: int = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to do."""

    def compute(self, cycles: int) -> None:
        """Be busy for ``cycles``."""
        self.told.append(Instruction("compute", cycles))

    def vector(
        self, operation: Literal["add", "sub", "mul", "max", "copy", "fma"], out: Array, *sources: Array | float
    ) -> None:
        """``out = operation(*sources)`` on elements; `fma` adds the product of the sources to ``out``.

        Costs ``vector_setup`` cycles and then elements at the rate of the wafer's multiply-add, add or copy.
        """
        wanted = SOURCES.get(operation)
        if wanted != len(sources):
            what = f"{len(sources)} sources; {wanted} work" if wanted else f"unknown; {', '.join(SOURCES)} work"
            raise WseError(f"vector {operation}: {what}")
        unit = {"fma": "fma", "mul": "fma", "copy": "copy"}.get(operation, "add")
        spec = self.tile.kernel.spec
        kind = "float32" if out.dtype == "int32" else out.dtype
        cycles = spec.vector_setup + ceil(out.elements / spec.rates[f"{unit}_{kind}"])
        for array in (out, *(source for source in sources if isinstance(source, Array))):
            if array.stride != 1:
                raise WseError(
                    f"vector {operation}: {array.name} has a stride of {array.stride}; slices of step 1 work"
                )
            if (array.elements, array.dtype) != (out.elements, out.dtype):
                found, works = (f"{one.elements} × {one.dtype}" for one in (array, out))
                raise WseError(f"vector {operation}: {array.name} is {found}; {works}, as {out.name} is, work")
        if out.dtype == "int32" and any(s % 1 for s in sources if not isinstance(s, Array)):
            raise WseError(f"vector {operation}: {out.name} is int32; whole numbers work")
        given = tuple(s.address if isinstance(s, Array) else float(s) for s in sources)
        self.told.append(
            Instruction("compute", cycles, vector=Vector(operation, out.dtype, out.words, out.address, given))
        )

    def send(
        self, color: ColorHandle, array: Array, *, background: bool = False, activates: "Listing | None" = None
    ) -> None:
        self._stream("send", array, None, target=color, background=background, activates=activates)

    def send_control(self, color: ColorHandle, *commands: str, value: int = 0) -> None:
        """One control wavelet: up to eight of nop, advance, reset, teardown, and a value of 8 bits."""
        self.told.append(Instruction("send", 1, target=color.index, control=control(*commands, value=value)))

    def recv(
        self, color: ColorHandle, array: Array, *, background: bool = False, activates: "Listing | None" = None
    ) -> None:
        """Store what comes in ``array``; a control wavelet ends it early."""
        self._stream("recv", array, None, source=color, background=background, activates=activates)

    def recv_op(
        self,
        color: ColorHandle,
        array: Array,
        operation: Literal["add", "max"] = "add",
        *,
        background: bool = False,
        activates: "Listing | None" = None,
    ) -> None:
        """Combine what comes into ``array``."""
        self._stream("recv_op", array, operation, source=color, background=background, activates=activates)

    def recv_op_send(
        self,
        source: ColorHandle,
        target: ColorHandle,
        array: Array,
        operation: Literal["add", "max"] = "add",
        *,
        background: bool = False,
        activates: "Listing | None" = None,
    ) -> None:
        """Combine what comes with ``array`` and send it on, wavelet by wavelet."""
        self._stream(
            "recv_op_send", array, operation, source=source, target=target, background=background, activates=activates
        )

    def wait(self) -> None:
        """Until all background instructions of the PE are done."""
        self.told.append(Instruction("wait"))

    def _stream(
        self,
        kind: Literal["send", "recv", "recv_op", "recv_op_send"],
        array: Array,
        operation: str | None,
        *,
        source: ColorHandle | None = None,
        target: ColorHandle | None = None,
        background: bool,
        activates: "Listing | None",
    ) -> None:
        if activates is not None and not background:
            raise WseError(f"{kind}: only a background instruction activates a task; background=True works")
        if activates is not None and not any(activates is task for task in self.tile.tasks):
            raise WseError(f"{kind}: activates a task of other PEs; one that the same tile's task() made works")
        combine = f"{operation or 'add'}_{array.dtype}"
        if combine not in COMBINE:
            raise WseError(f"{kind}: unknown operation {operation!r}; add and max work")
        self.told.append(
            Instruction(
                kind,
                array.words,
                source.index if source else -1,
                target.index if target else -1,
                background,
                activates=activates.index if activates else -1,
                operand=Operand(array.address, array.stride, combine),
            )
        )


@dataclass(eq=False)
class Tile:
    """A rectangle of PEs, ``kernel[rows, columns]``, slices with steps included."""

    kernel: "FabricKernel"
    rows: slice
    cols: slice
    tasks: list[Listing] = field(default_factory=list)
    on_data: dict[int, int] = field(default_factory=dict)
    on_control: dict[int, int] = field(default_factory=dict)
    arguments: dict[int, int] = field(default_factory=dict)
    main: Listing | None = None

    def route(self, color: ColorHandle, inputs: str, outputs: str) -> None:
        """Wavelets of ``color`` come in by ``inputs`` and leave by ``outputs``: words of E W N S RAMP."""
        self.switch(color, [(inputs, outputs)])

    def switch(self, color: ColorHandle, positions: Sequence[tuple[str, str]], *, start: int = 0) -> None:
        """Up to four positions, each (inputs, outputs); control wavelets move on from position ``start``."""
        most = self.kernel.spec.switch_positions
        if not 1 <= len(positions) <= most or not 0 <= start < len(positions):
            raise WseError(f"{color.name}: {len(positions)} switch positions from {start}; 1 to {most} work")
        held = self.kernel.colors[color.index]
        missing = len(positions) - len(held.inputs)
        if missing > 0:
            more = np.zeros((missing, *held.inputs.shape[1:]), dtype=np.uint8)
            held.inputs, held.outputs = (np.concatenate([a, more]) for a in (held.inputs, held.outputs))
        for place, (inputs, outputs) in enumerate(positions):
            held.inputs[place, self.rows, self.cols] = _ports(color, inputs)
            held.outputs[place, self.rows, self.cols] = _ports(color, outputs)
        held.initial[self.rows, self.cols], held.last[self.rows, self.cols] = start, len(positions) - 1

    def filter(
        self, color: ColorHandle, *, start: int = 0, limit: int = 0, period: int = 0, low: int = 0, high: int = 0xFFFF
    ) -> None:
        """What the ramp lets in: ``start, limit, period`` of a counter, or ``low, high`` of the upper 16 bits.

        The counter lets in wavelet k, from 0, where (start + k) mod period < limit.
        """
        if period and not 0 < limit <= period:
            raise WseError(f"{color.name}: a filter of {limit} wavelets in {period}; a limit of 1 to {period} works")
        if not period and (start or limit or not 0 <= low <= high <= 0xFFFF):
            raise WseError(
                f"{color.name}: a filter needs a period above 0 (start, limit, period), or 0 <= low <= high <= 65535"
            )
        held = Filter(start, limit, period, low, high)
        for y in range(self.rows.start, self.rows.stop, self.rows.step):
            for x in range(self.cols.start, self.cols.stop, self.cols.step):
                self.kernel.colors[color.index].filters[y, x] = held

    def code(self) -> Listing:
        """What these PEs run from the start."""
        if self.main is None:
            self.kernel.claim(self)
            self.main = Listing(self, index=0)
        return self.main

    def place(self, row: int, col: int) -> tuple[int, int]:
        """(x, y) of a PE of this tile, counted from its own corner."""
        return self.cols.start + int(col) * self.cols.step, self.rows.start + int(row) * self.rows.step

    def check(self) -> None:
        """WseError if its code sends or receives a color that the router does not join to the RAMP."""
        told = [instruction for listing in (self.code(), *self.tasks) for instruction in listing.told]
        received = {one.source for one in told} | self.on_data.keys() | self.on_control.keys()
        for index in sorted({one.target for one in told} - {-1}):
            self._check_ramp(
                index, self.kernel.colors[index].inputs, "sends it, but its router takes none from the RAMP"
            )
        for index in sorted(received - {-1}):
            self._check_ramp(
                index, self.kernel.colors[index].outputs, "receives it, but its router gives none to the RAMP"
            )

    def _check_ramp(self, color: int, ports: np.ndarray, what: str) -> None:
        lacking = np.argwhere(~(ports[:, self.rows, self.cols] & PORTS["RAMP"]).any(axis=0))
        if lacking.size:
            name = self.kernel.color_name(color)
            raise WseError(f"{name}: PE {self.place(*lacking[0])} {what}; a route or switch with RAMP there works")

    def task(
        self, *, on: ColorHandle | None = None, on_control: ColorHandle | None = None, argument: Array | None = None
    ) -> Listing:
        """A task: activated by a background instruction, or by a wavelet (control wavelet) of a color.

        ``argument``: where the value of that wavelet is put.
        """
        self.code()
        listing = Listing(self, index=len(self.tasks) + 1)
        self.tasks.append(listing)
        for color, table in ((on, self.on_data), (on_control, self.on_control)):
            if color is not None:
                table[color.index] = listing.index
                if argument is not None:
                    self.arguments[color.index] = argument.address
        return listing


@dataclass(frozen=True, eq=False)
class Run:
    """What a run left."""

    kernel: "FabricKernel"
    outcome: Outcome

    @property
    def cycles(self) -> int:
        """When the last PE was done."""
        return self.outcome.cycles

    @property
    def clock(self) -> np.ndarray:
        """When each PE was done, int64 ``[rows, cols]``."""
        return self.outcome.clock

    @property
    def links(self) -> np.ndarray:
        """Wavelets that left each PE, int64 ``[E W N S, rows, cols]``."""
        return self.outcome.links

    @property
    def left_over(self) -> int:
        """Wavelets that nobody took."""
        return self.outcome.left_over

    def read(self, array: Array) -> np.ndarray:
        """``[rows, cols, elements]`` of every PE."""
        assert self.outcome.memory is not None
        span = slice(array.address, array.address + array.words * array.stride, array.stride)
        words = np.ascontiguousarray(self.outcome.memory[:, :, span])
        return np.asarray(words.view(KINDS[array.dtype])[..., : array.elements])


class FabricKernel:
    """A program for ``rows`` × ``cols`` PEs of a wafer, written by hand."""

    def __init__(self, rows: int, cols: int, *, wafer: str | WaferSpec = "wse3") -> None:
        self.spec = load_wafer(wafer) if isinstance(wafer, str) else wafer
        Mesh(self.spec.columns, self.spec.rows).check_region(Region(0, 0, cols, rows), "a fabric kernel")
        self.rows, self.cols = rows, cols
        self.colors: list[Color] = []
        self._names: list[str] = []
        self._tiles: list[Tile] = []
        self._owner = np.full((rows, cols), -1, dtype=np.int64)
        self._arrays: list[tuple[Array, np.ndarray]] = []
        self._words = 0

    def __getitem__(self, place: tuple[Index, Index]) -> Tile:
        y, x = place
        return Tile(
            self,
            _slice(y, self.rows, "row", f"the kernel's {self.rows}"),
            _slice(x, self.cols, "column", f"the kernel's {self.cols}"),
        )

    def color_name(self, color: int) -> str:
        """The name of the color with this index."""
        return self._names[color]

    def color(self, name: str, *, queue: int = 2, ring: bool = False, pop: Pop = "never") -> ColorHandle:
        """A new color; ``queue``: the id of the queues that it uses; ``ring`` and ``pop``: see docs/machine.md."""
        most = self.spec.colors - self.spec.runtime_colors
        if len(self.colors) == most:
            raise WseError(
                f"color {name}: the runtime leaves {most} colors, and all are taken; a color works for several routes "
                "that do not meet"
            )
        if not 0 <= queue < 2 * len(self.spec.input_queue_words):
            raise WseError(f"color {name}: queue {queue}; 0 to {2 * len(self.spec.input_queue_words) - 1} work")
        made = Color.empty(self.rows, self.cols)
        made.ring, made.pop, made.queue = ring, pop, queue
        self.colors.append(made)
        self._names.append(name)
        return ColorHandle(name, len(self.colors) - 1)

    def array(self, name: str, elements: int, dtype: str = "float32") -> Array:
        """``elements`` of ``dtype`` (float32, float16, bfloat16, int32) on every PE, zeros at first."""
        if dtype not in KINDS:
            raise WseError(f"array {name}: dtype {dtype}; {', '.join(KINDS)} work")
        if elements < 1:
            raise WseError(f"array {name}: {elements} elements; 1 or more work")
        array = Array(name, self._words, elements, dtype)
        self._words += array.words
        if self._words * WORD > self.spec.user_bytes:
            raise WseError(
                f"array {name}: with it a PE holds {self._words * WORD} bytes; up to {self.spec.user_bytes} work"
            )
        return array

    def set(self, array: Array, values: Any) -> None:
        """Put ``values`` ``[rows, cols, elements]`` (or what broadcasts to that) into ``array`` before the run."""
        shape = (self.rows, self.cols, array.elements)
        try:
            held = np.broadcast_to(np.asarray(values, dtype=KINDS[array.dtype]), shape)
        except ValueError:
            raise WseError(f"array {array.name}: values of shape {np.shape(values)}; {shape} works") from None
        self._arrays.append((array, held))

    def claim(self, tile: Tile) -> None:
        """``tile`` gets code; WseError if a PE of it has some already."""
        taken = np.argwhere(self._owner[tile.rows, tile.cols] >= 0)
        if taken.size:
            pe = tile.place(*taken[0])
            raise WseError(
                f"PE {pe} has code already, from another kernel[rows, columns]; one tile, kept in a variable, works"
            )
        self._owner[tile.rows, tile.cols] = len(self._tiles)
        self._tiles.append(tile)

    def program(self) -> FabricProgram:
        """What the engine runs. Raises WseError for routes that cannot work."""
        self._check()
        code = Code()
        places = [[self._script(code, listing) for listing in (tile.code(), *tile.tasks)] for tile in self._tiles]
        starts = np.array([*(own[0] for own in places), -1])[self._owner]
        with_tasks = any(tile.tasks for tile in self._tiles)
        program = FabricProgram(
            self.spec, self.rows, self.cols, self.colors, code, starts, memory=self._memory(), names=self._names
        )
        if with_tasks:
            program.tasks, program.task_set = places, self._owner
        for number, tile in enumerate(self._tiles):
            program.on_data |= {(number, color): task for color, task in tile.on_data.items()}
            program.on_control |= {(number, color): task for color, task in tile.on_control.items()}
            program.arguments |= {(number, color): address for color, address in tile.arguments.items()}
        return program

    def run(self, *, start: np.ndarray | None = None, seed: int = 0) -> Run:
        """Run it; ``start``: the cycle in which each PE begins, ``[rows, cols]``; ``seed`` orders activated tasks.

        Raises WseError for routes that cannot work, for a deadlock, and for two uses of one thing at once.
        """
        if start is not None and start.shape != (self.rows, self.cols):
            raise WseError(f"start of shape {start.shape}; {(self.rows, self.cols)} works")
        return Run(self, Machine(self.program(), start, seed).run())

    def _check(self) -> None:
        mesh = Mesh(self.cols, self.rows)
        box = Region(0, 0, self.cols, self.rows)
        for name, color in zip(self._names, self.colors, strict=True):
            if len(color.inputs) == 1:
                check_route(Route(name, "fabric kernel", box, color.inputs[0], color.outputs[0]), mesh, several=True)
            else:
                for inputs, outputs in zip(color.inputs, color.outputs, strict=True):
                    check_route(Route(name, "fabric kernel", box, inputs, outputs), mesh, several=True, switched=True)
        for tile in self._tiles:
            tile.check()

    @staticmethod
    def _script(code: Code, listing: Listing) -> int:
        place = code.block(listing.told)
        code.end()
        return place

    def _memory(self) -> np.ndarray:
        memory = np.zeros((self.rows, self.cols, max(1, self._words)), dtype=np.uint32)
        for array, held in self._arrays:
            kind = KINDS[array.dtype]
            per_word = WORD // kind.itemsize
            padded = np.zeros((self.rows, self.cols, array.words * per_word), dtype=kind)
            padded[..., : array.elements] = held
            span = slice(array.address, array.address + array.words * array.stride, array.stride)
            memory[..., span] = padded.view(np.uint32)
        return memory


def _ports(color: ColorHandle, names: str) -> int:
    unknown = [name for name in names.split() if name not in PORTS]
    if unknown:
        raise WseError(f"{color.name}: unknown port {unknown[0]!r}; {' '.join(PORTS)} work")
    return sum(PORTS[name] for name in set(names.split()))


def _slice(index: Index, extent: int, what: str, of: str) -> slice:
    if isinstance(index, slice):
        start, stop, step = index.indices(extent)
        if not range(start, stop, step) or step < 1:
            raise WseError(f"{what}s {index.start}:{index.stop}:{index.step} of {extent}: none is there")
        return slice(start, stop, step)
    if not -extent <= index < extent:
        raise WseError(f"{what} {index} is outside {of}; 0 to {extent - 1} work")
    return slice(index % extent, index % extent + 1, 1)
