"""The best of the layouts that a workload fits."""

from wse_emu.errors import WseError
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.models.config import ModelConfig
from wse_emu.wafers.layout import WaferEstimate
from wse_emu.wafers.pipeline import Pipelined
from wse_emu.wafers.shared import Shared
from wse_emu.wafers.workload import Workload, check_workload, least_wafers


def estimate(config: ModelConfig, spec: WaferSpec, workload: Workload, wafers: int | None = None) -> WaferEstimate:
    """The mapping with the most tokens/s in all; of equals, the one with fewer wafers.

    ``wafers`` is the most that there are (None: as many as it takes). Raises WseError for numbers that no workload
    has, and for a model that fits so many wafers in no way.
    """
    check_workload(config, workload, wafers)
    tried = (layout(config, spec, workload).best(wafers) for layout in (Shared, Pipelined))
    found = [one for one in tried if one is not None]
    if not found:
        where = f"{wafers} {spec.name}" if wafers else f"any number of {spec.name}"
        raise WseError(
            f"{config.parameters:,} parameters ({workload.dtype}) and {workload.users:,} × {workload.context:,} tokens "
            f"of cache fit {where} in no way; by bytes alone they take {least_wafers(config, spec, workload)}, and a "
            "layer must fit on one: fewer users, a shorter context, or more wafers work"
        )
    return max(found, key=lambda one: (round(one.tokens_per_second_total, 6), -one.wafers))
