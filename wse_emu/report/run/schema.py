"""run.json and report.json as types, schema 1. ``docs/run-folder.md`` has the same fields with their units."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class WaferFacts:
    """The wafer of a run; ``sha256`` is that of all its numbers."""

    name: str
    columns: int
    rows: int
    clock_hz: float
    sha256: str


@dataclass(frozen=True)
class ModelFacts:
    """The model of a run and the sha256 of its weights' files."""

    name: str
    source: str
    sha256: str


@dataclass(frozen=True)
class MappingFacts:
    """Which mapping and placement; ``sha256`` is that of the program, regions included."""

    name: str
    placement: str
    sha256: str


@dataclass(frozen=True)
class RunFacts:
    """run.json: what was run."""

    schema: int
    command: str
    arguments: list[str]
    options: dict[str, Any]
    seed: int | None
    versions: dict[str, str]
    platform: str
    started: str
    model: ModelFacts | None
    mapping: MappingFacts | None
    wafer: WaferFacts | None
    levels: dict[str, str]


@dataclass(frozen=True)
class BusiestLink:
    """The PE (x, y) whose wavelets ``towards`` E, W, N or S are most."""

    x: int
    y: int
    towards: str
    wavelets: int


@dataclass(frozen=True)
class Sram:
    """Bytes used on the wafer and on its fullest PE."""

    used_bytes: int
    capacity_bytes: int
    max_pe_bytes: int
    capacity_pe_bytes: int
    max_pe: dict[str, int]
    padding: float


@dataclass(frozen=True)
class Colors:
    """Colors that all routes take; None with a ``note`` if there are too few."""

    used: int | None
    available: int
    note: str


@dataclass(frozen=True)
class ExpertsOfLayer:
    """Tokens that each expert of a layer met, the prompt's included."""

    layer: int
    tokens: list[int]
    max_over_mean: float


@dataclass(frozen=True)
class Experts:
    """How the tokens were spread over experts; ``max_over_mean`` is of the most uneven layer."""

    layers: list[ExpertsOfLayer]
    max_over_mean: float


@dataclass(frozen=True)
class Prefill:
    """How the prompt but for its last token was read."""

    mode: str
    tokens: int
    cycles: int
    edge: int | None
    handover_cycles: int
    handover_wavelets: int
    cycles_by_kernel: dict[str, int]
    max_pe_bytes: int


@dataclass(frozen=True)
class TensorBytes:
    """A tensor on a region: its bytes on each PE."""

    name: str
    kind: str
    bytes: int


@dataclass(frozen=True)
class RegionReport:
    """A rectangle of PEs: what runs on it and what each of its PEs holds."""

    x: int
    y: int
    width: int
    height: int
    layers: list[int]
    kernels: list[str]
    memory: dict[str, int]
    tensors: list[TensorBytes]


@dataclass(frozen=True)
class DefectCounts:
    """Dead PEs and dead links."""

    pes: int
    links: int


@dataclass(frozen=True)
class WaferReport:
    """The wafer that the cycles are of."""

    name: str
    columns: int
    rows: int
    clock_hz: float


@dataclass(frozen=True)
class GpuRate:
    """GPUs of a kind beside the wafer, the fewest that hold the model."""

    gpu: str
    gpus: int
    replicas: int
    users: int
    weights: str
    tokens_per_second_per_user: float
    tokens_per_second_total: float
    bound_by: str
    joules_per_token: float
    joules_per_token_by_part: float | None
    usd_per_million_tokens: float | None
    level: str
    other: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GpuFit:
    """How the GPUs' efficiency was fitted."""

    hbm_efficiency: float
    median_abs_error: float


@dataclass(frozen=True)
class DecodeReport:
    """report.json of `wse-emu decode`; ``other`` keeps what a later program added within the schema."""

    schema: int
    command: str
    model: str
    mapping: str
    placement: str
    experts_lie: str
    reduce: str
    backend: str
    engine: str
    precision: str
    prompt_ids: list[int]
    token_ids: list[int]
    text: str
    cycles_per_token: list[int]
    modelled_cycles_per_token: list[int] | None
    prefill_cycles: int
    prefill: Prefill | None
    prefill_tokens_per_second: float | None
    time_to_first_token_seconds: float
    tokens_per_second: float
    cycles_by_kernel: dict[str, float]
    wavelet_hops: int
    max_link_wavelets: int
    busiest_link: BusiestLink
    sram: Sram
    colors: Colors
    experts: Experts | None
    regions: dict[str, RegionReport]
    defects: DefectCounts
    wafer: WaferReport
    baseline: list[GpuRate]
    baseline_fit: GpuFit
    level: str
    prefill_level: str
    seconds: dict[str, float]
    other: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OtherReport:
    """report.json of any other command: its own figures are in ``other``."""

    schema: int
    command: str
    other: dict[str, Any] = field(default_factory=dict)
