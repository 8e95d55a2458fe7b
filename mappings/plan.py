"""A plan: where every layer lies, with which layout, and what it takes on each PE."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from wse_emu.engines.estimate import Estimator
from wse_emu.fabric.defects import Defects
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region
from wse_emu.fabric.room import Room
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.kernels.decoder import Style
from wse_emu.models.config import ModelConfig
from wse_emu.program import Memory, Program
from wse_emu.program.precision import Precision, find_precision

EXPERTS = ("sharded", "regions")
"""Every expert is cut over all PEs of its layer's region, or has a region of its own beside it."""


@dataclass(frozen=True)
class Request:
    """What a mapping is asked for.

    ``positions``: tokens that the KV cache must hold; ``reduce``: the algorithm of all reductions; ``on_host``: the
    host samples, so the logits leave the wafer and the next token waits.
    """

    config: ModelConfig
    spec: WaferSpec
    positions: int
    reduce: str
    estimator: Estimator
    placement: str = "row_major"
    on_host: bool = False
    shape: tuple[int, int] | None = None
    """Rows and columns of the shared region, or of a layer's region; None: chosen by the timing model."""
    dtype: str | Precision = "float32"
    """Of the numbers on the PEs: the name of a preset, or a precision of one's own."""
    position: int | None = None
    """Of the token for which shapes are chosen; None: the middle of the cache."""
    defects: Defects = field(default_factory=Defects)
    """What regions and routes keep out of."""
    experts: str = "sharded"
    """Where experts lie: one of :data:`EXPERTS`."""

    @property
    def apart(self) -> bool:
        """Whether the model has experts, and each of them a region of its own."""
        return self.config.experts is not None and self.experts == "regions"

    @property
    def at(self) -> int:
        """The position for which shapes are chosen."""
        return self.positions // 2 if self.position is None else self.position

    @property
    def precision(self) -> Precision:
        """Which type is used where; WseError for an unknown name."""
        return find_precision(self.dtype)

    @cached_property
    def room(self) -> Room:
        """Where on the wafer regions find room."""
        return Room(Mesh.from_spec(self.spec, defects=self.defects))

    @property
    def style(self) -> Style:
        """What the bodies of this request have in common."""
        return Style(self.dtype, self.reduce, self.estimator.choose)


@dataclass(frozen=True)
class Plan:
    """A mapped model: the program of one token and the SRAM that it takes."""

    mapping: str
    placement: str
    program: Program
    regions: dict[str, Region]
    """What lies where: "layers 0-29", "layer 3", "embedding and head"."""
    memory: Memory


Mapping = Callable[[Request], Plan]
