"""From the options of `wse-emu place --model` to a placement problem."""

from dataclasses import dataclass, replace

from wse_emu.engines.estimate import Estimator
from wse_emu.errors import WseError
from wse_emu.fabric.defects import Defects, read_defects
from wse_emu.hardware.wafer import load_wafer
from wse_emu.mappings.layers import fitted_pipeline
from wse_emu.mappings.placement.kernels import expert_problem, kernel_problem
from wse_emu.mappings.placement.models import layer_problem
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.plan import Request
from wse_emu.models.known import load_config
from wse_emu.program.precision import PRESETS

GRAINS = ("layer", "kernel", "expert")


@dataclass(frozen=True)
class ModelOptions:
    """A model, the wafer that it is placed on, and what a block is: a ``by`` of GRAINS."""

    model: str
    wafer: str
    by: str
    positions: int
    dtype: str
    grid: tuple[int, int] | None
    experts: int
    active: int


def model_problem(options: ModelOptions, defects: str | None = None) -> PlacementProblem:
    """The problem of a model by name; WseError for what the user got wrong, or a model that does not fit."""
    if options.by not in GRAINS:
        raise WseError(f"--by {options.by}: layer, kernel or expert works")
    if options.dtype not in PRESETS:
        raise WseError(f"--dtype {options.dtype}: {', '.join(PRESETS)} work")
    if options.grid is not None and options.by != "layer":
        raise WseError("--grid is the shape of a layer's region: it goes with --by layer")
    config, spec = load_config(options.model), load_wafer(options.wafer)
    if not 1 <= options.positions <= config.context:
        raise WseError(f"--context {options.positions}: {options.model} has 1 to {config.context}")
    dead = Defects() if defects is None else read_defects(defects, spec.columns, spec.rows)
    estimator = Estimator(spec)
    request = Request(
        config, spec, options.positions, "auto", estimator, dtype=options.dtype, shape=options.grid, defects=dead
    )
    if options.by == "layer":
        problem = layer_problem(fitted_pipeline(request))
    elif options.by == "kernel":
        problem = kernel_problem(request)
    else:
        problem = expert_problem(request, options.experts, options.active)
    return replace(problem, name=f"{options.model} by {options.by} on {spec.name}")
