"""The closed set of steps. A kernel emits them, every engine interprets them; a new one needs all engines."""

from dataclasses import dataclass, field
from typing import Any, Literal

from wse_emu.program.value import Value

Axis = Literal["x", "y"]
Combine = Literal["add", "max", "argmax"]


@dataclass(frozen=True)
class Local:
    """Every PE computes ``op`` on its own blocks; ``attributes`` are the op's constants."""

    op: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    kernel: str
    attributes: dict[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"local {self.op}({_names(self.inputs)})"


@dataclass(frozen=True)
class Broadcast:
    """The PE at ``root`` along ``axis`` sends its blocks to all others of its line, as one multicast stream."""

    axis: Axis
    root: int
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    kernel: str

    def __str__(self) -> str:
        return f"broadcast({_names(self.inputs)}) along {self.axis} from {self.root}"


@dataclass(frozen=True)
class Reduce:
    """Combine the blocks of every line along ``axis`` into one PE, in the order of ``algorithm``.

    Several inputs travel as one stream; ``argmax`` takes (values, indices). With ``group`` the line is cut into equal
    groups of that many PEs, each combined by itself. The result lies on the algorithm's root.
    """

    axis: Axis
    combine: Combine
    algorithm: str
    group: int | None
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    kernel: str

    def __str__(self) -> str:
        return f"reduce {_collective(self)}"


@dataclass(frozen=True)
class AllReduce(Reduce):
    """A :class:`Reduce` whose root then broadcasts the result back along its line (or group)."""

    def __str__(self) -> str:
        return f"all_reduce {_collective(self)}"


@dataclass(frozen=True)
class Shift:
    """Every PE passes its blocks on to the PE ``distance`` further along ``axis``, cyclically.

    The ring is laid out interleaved (0, 2, 4, … 5, 3, 1), so that no neighbour is more than two hops away
    (WaferLLM, OSDI 2025, section 5.1).
    """

    axis: Axis
    distance: int
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    kernel: str

    def __str__(self) -> str:
        return f"shift({_names(self.inputs)}) along {self.axis} by {self.distance}"


@dataclass(frozen=True)
class Overlap:
    """``shifts`` by one place, each along another axis, are under way at once while the PE runs ``meanwhile``.

    It is over when all of them are. No shift in it reads what another part yields, and nothing what a shift yields.
    """

    shifts: tuple[Shift, ...]
    meanwhile: tuple[Local, ...]
    kernel: str

    @property
    def parts(self) -> tuple[Shift | Local, ...]:
        """Everything in it."""
        return (*self.shifts, *self.meanwhile)

    @property
    def inputs(self) -> tuple[Value, ...]:
        return tuple(value for part in self.parts for value in part.inputs)

    @property
    def outputs(self) -> tuple[Value, ...]:
        return tuple(value for part in self.parts for value in part.outputs)

    def __str__(self) -> str:
        return "at once: " + "; ".join(map(str, self.parts))


@dataclass(frozen=True)
class Host:
    """Values cross the wafer's edge, in or out. ``blocking``: the next step needs the host's answer."""

    direction: Literal["in", "out"]
    blocking: bool
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    kernel: str

    def __str__(self) -> str:
        return f"host {self.direction}({_names(self.inputs)}){'' if self.blocking else ' unawaited'}"


Step = Local | Broadcast | Reduce | AllReduce | Shift | Overlap | Host


def _names(values: tuple[Value, ...]) -> str:
    return ", ".join(f"%{value.name}" for value in values)


def _collective(step: Reduce) -> str:
    group = f" in groups of {step.group}" if step.group else ""
    return f"{step.combine}({_names(step.inputs)}) along {step.axis}{group} by {step.algorithm}"
