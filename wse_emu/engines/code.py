"""What the machine runs: routes per color and the PEs' instructions. ``docs/machine.md`` says what they mean.

Whole wafers run one program in which most PEs do the same as many others, so code is kept in tables: a *script* is a
list of blocks, a block gives an instruction list by the PE's place along one axis, and a PE only knows where in its
script it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from wse_emu.errors import WseError
from wse_emu.fabric.directions import Direction
from wse_emu.fabric.region import Region
from wse_emu.fabric.routes import RAMP, port
from wse_emu.hardware.wafer import WaferSpec

Kind = Literal["compute", "send", "recv", "recv_op", "recv_op_send", "wait", "host"]
KINDS: tuple[Kind, ...] = ("compute", "send", "recv", "recv_op", "recv_op_send", "wait", "host")
Pop = Literal["never", "always", "on_advance"]
COMMANDS = ("nop", "advance", "reset", "teardown")
MICROTHREADS = 8


@dataclass(frozen=True)
class Operand:
    """Where in a PE's memory a stream reads or writes: 32-bit words from ``address`` on, ``stride`` words apart."""

    address: int
    stride: int = 1
    combine: str = "add_float32"
    """What `recv_op` and `recv_op_send` do with a wavelet and the word that it meets: a name in payload.COMBINE."""


@dataclass(frozen=True)
class Vector:
    """What a `compute` does with a PE's memory: ``words`` words at ``target`` become ``operation`` of the sources.

    A source is the address of its words, or a number that stands for every element.
    """

    operation: Literal["add", "sub", "mul", "max", "copy", "fma"]
    dtype: str
    words: int
    target: int
    sources: tuple[int | float, ...]


@dataclass(frozen=True)
class Instruction:
    """One instruction of a PE: ``source`` and ``target`` are colors (channels, before they have one), −1 for none.

    ``wavelets`` is the length of the stream, for `compute` and `host` the number of cycles. ``reducing`` marks a `send`
    that feeds a reduction; ``activates`` is the task that a background instruction activates, −1 for none.
    """

    kind: Kind
    wavelets: int = 0
    source: int = -1
    target: int = -1
    background: bool = False
    reducing: bool = False
    activates: int = -1
    operand: Operand | None = None
    control: int = -1
    """For a `send` of one control wavelet: its value and commands, as :func:`control` makes it."""
    vector: Vector | None = None
    meets: int = 0
    """For `host`: how many PEs meet here; 0: all that run anything."""

    def __post_init__(self) -> None:
        """WseError for what no PE can do."""
        if self.control >= 0 and (self.kind != "send" or self.wavelets != 1):
            raise WseError(f"{self.kind} of {self.wavelets} wavelets: a control wavelet is a `send` of one")
        if self.background and self.kind in {"wait", "host"}:
            raise WseError(f"`{self.kind}` in the background: only streams and `compute` run there")
        if self.wavelets < 0:
            raise WseError(f"{self.kind} of {self.wavelets}: 0 or more works")


def control(*commands: str, value: int = 0) -> int:
    """A control wavelet: up to eight of :data:`COMMANDS` in the upper 24 bits, ``value`` in the lower 8."""
    unknown = [name for name in commands if name not in COMMANDS]
    if unknown or len(commands) > 8 or not 0 <= value < 256:
        raise WseError(
            f"control wavelet {commands} with value {value}: up to eight of {', '.join(COMMANDS)} and 0 to 255 work"
        )
    return value | sum(COMMANDS.index(name) << (8 + 3 * place) for place, name in enumerate(commands))


@dataclass(frozen=True)
class Filter:
    """What the ramp lets in; see ``docs/machine.md``. A counter (``period`` above 0) or a range of upper halves."""

    start: int = 0
    limit: int = 0
    period: int = 0
    low: int = 0
    high: int = 0xFFFF


@dataclass
class Color:
    """What one color does on a box of PEs: ports by switch position, uint8 ``[positions, rows, cols]``.

    ``initial`` is the position that each PE starts in, ``last`` the last one that it has, uint8 ``[rows, cols]``.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    initial: np.ndarray
    last: np.ndarray
    ring: bool = False
    pop: Pop = "never"
    queue: int = 2
    filters: dict[tuple[int, int], Filter] = field(default_factory=dict)
    """By (row, column)."""

    @classmethod
    def empty(cls, rows: int, cols: int) -> "Color":
        """A color that no PE uses."""
        ports = np.zeros((2, 1, rows, cols), dtype=np.uint8)
        places = np.zeros((2, rows, cols), dtype=np.uint8)
        return cls(ports[0], ports[1], places[0], places[1])

    @property
    def used(self) -> np.ndarray:
        """Where this color does anything, bool ``[rows, cols]``."""
        return np.asarray((self.inputs | self.outputs).any(axis=0))


Source = tuple[int, int, int]
"""Index in the program's steps; index in the body's, of a move 0 to send and 1 to receive; cycles of local work."""


class Code:
    """The tables of instructions, blocks and scripts; append-only."""

    END, EVERYWHERE, ALONG_X, ALONG_Y, IN_REGION = -1, 0, 1, 2, 3

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.last: list[bool] = []
        self.axis: list[int] = []
        self.origin: list[int] = []
        self.region: list[Region | None] = []
        self.base: list[int] = []
        self.parts: list[dict[str, int]] = []
        """Of every block: the kernels that it belongs to, and their weights."""
        self.sources: dict[int, list[Source]] = {}
        """By place in the script: the program's steps that the block stands for."""
        self.first: list[int] = []
        self._known: dict[tuple[Instruction, ...], int] = {}
        self._tables: dict[tuple[int, ...], int] = {}

    def block(self, instructions: Sequence[Instruction], parts: dict[str, int] | None = None) -> int:
        """Append to the script: every PE that comes here runs ``instructions``. Returns the place in the script."""
        return self.blocks([instructions], Code.EVERYWHERE, 0, parts)

    def blocks(
        self, by_place: Sequence[Sequence[Instruction]], axis: int, origin: int, parts: dict[str, int] | None = None
    ) -> int:
        """Append to the script: a PE at place ``origin + i`` along ``axis`` runs ``by_place[i]``."""
        return self.refer([self.enter(told) for told in by_place], axis, origin, parts)

    def enter(self, told: Sequence[Instruction]) -> int:
        """The place of the instruction list ``told`` in the table; −1 for an empty one."""
        if not told:
            return -1
        key = tuple(told)
        if key not in self._known:
            self._known[key] = len(self.instructions)
            self.instructions += key
            self.last += [False] * (len(key) - 1) + [True]
        return self._known[key]

    def refer(
        self,
        entries: Sequence[int],
        axis: int,
        origin: int = 0,
        parts: dict[str, int] | None = None,
        region: Region | None = None,
    ) -> int:
        """Append a block of known instruction lists (see :meth:`enter`) to the script.

        With the axis IN_REGION, ``entries`` are those of all PEs of ``region`` (in the box), row by row.
        """
        key = tuple(entries)
        if key not in self._tables:
            self._tables[key] = len(self.first)
            self.first.extend(key)
        self.axis.append(axis)
        self.origin.append(origin)
        self.region.append(region)
        self.base.append(self._tables[key])
        self.parts.append(parts or {"": 1})
        return len(self.axis) - 1

    def list_at(self, index: int) -> list[Instruction]:
        """The instruction list that begins at ``index`` of the table; none for −1."""
        if index < 0:
            return []
        stop = index
        while not self.last[stop]:
            stop += 1
        return self.instructions[index : stop + 1]

    def end(self) -> int:
        """Append the end of a script, or of a task."""
        return self.refer([], Code.END, 0)


@dataclass
class FabricProgram:
    """All that one run needs. Arrays are ``[rows, cols]`` of the box of PEs that begins at ``corner`` (x, y).

    ``starts``: where in the script each PE's task 0 begins, −1 for PEs that run nothing. ``tasks[i]``: the same for
    task i; ``on_data`` and ``on_control`` map (task set, color) to the task that its wavelets start. ``task_set``
    says which task set a PE has (−1: none).
    """

    spec: WaferSpec
    rows: int
    cols: int
    colors: list[Color]
    code: Code
    starts: np.ndarray
    corner: tuple[int, int] = (0, 0)
    task_set: np.ndarray | None = None
    tasks: list[list[int]] = field(default_factory=list)
    """By task set: the place in the script of each task."""
    on_data: dict[tuple[int, int], int] = field(default_factory=dict)
    on_control: dict[tuple[int, int], int] = field(default_factory=dict)
    arguments: dict[tuple[int, int], int] = field(default_factory=dict)
    """(task set, color) -> address of the word that a wavelet's value is put in when it starts a task."""
    memory: np.ndarray | None = None
    """uint32 ``[rows, cols, words]``: with it, wavelets carry their payloads."""
    dtype: str = "float32"
    """Of what reductions add: it decides how long adding a wavelet takes."""
    names: list[str] = field(default_factory=list)
    """Of the colors, for messages."""

    @property
    def seams(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Rows and columns of the box whose link to the one before crosses a seam between dies."""
        return self.spec.seams_in(*self.corner, self.cols, self.rows) if self.spec.seam_cycles else ((), ())

    @property
    def task_sets(self) -> np.ndarray:
        """The task set of each PE, int ``[rows, cols]``; −1: none.

        If nothing is said, all have set 0 where there is one.
        """
        if self.task_set is not None:
            return self.task_set
        return np.full((self.rows, self.cols), 0 if self.tasks else -1)

    def color_name(self, color: int) -> str:
        return self.names[color] if color < len(self.names) else f"color {color}"

    def place(self, pe: int) -> tuple[int, int]:
        """(x, y) on the mesh of the PE with the flat index ``pe`` in the box."""
        return self.corner[0] + pe % self.cols, self.corner[1] + pe // self.cols


__all__ = [
    "RAMP",
    "Code",
    "Color",
    "Direction",
    "FabricProgram",
    "Filter",
    "Instruction",
    "Operand",
    "Region",
    "control",
    "port",
]
