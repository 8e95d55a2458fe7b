"""The best of the layouts that a workload fits."""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from wse_emu.errors import WseError
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.models.config import ModelConfig
from wse_emu.wafers.apart import Apart
from wse_emu.wafers.layers import Layers
from wse_emu.wafers.layout import WaferEstimate, WaferLayout
from wse_emu.wafers.pipeline import Pipelined
from wse_emu.wafers.shared import Shared
from wse_emu.wafers.speculation import Draft, check_draft, speculate
from wse_emu.wafers.streamed import Streamed
from wse_emu.wafers.workload import Workload, check_workload, least_wafers


def estimate(
    config: ModelConfig, spec: WaferSpec, workload: Workload, wafers: int | None = None, draft: Draft | None = None
) -> WaferEstimate:
    """The mapping with the most tokens/s in all; of equals, the one with fewer wafers.

    ``wafers`` is the most that there are: as many are used as help, and weights that they do not hold are streamed in.
    None: as few as hold everything.
    With ``draft``, the model is helped by a smaller one on wafers of its own. Raises WseError for numbers that no
    workload has, and for a model whose layers or caches fit so many wafers in no way.
    """
    check_workload(config, workload, wafers)
    if draft is not None:
        return _drafted(config, spec, workload, wafers, draft)
    layers = Layers(config, spec, workload)
    return max([*_found(layers, wafers), *_replicas(layers, wafers)], key=_rank)


def _drafted(
    config: ModelConfig, spec: WaferSpec, workload: Workload, wafers: int | None, draft: Draft
) -> WaferEstimate:
    check_draft(draft, config)
    small = estimate(draft.config, spec, replace(workload, experts="sharded", chances=None))
    if wafers is not None and wafers <= small.wafers:
        raise WseError(f"{wafers} wafers: the draft takes {small.wafers} of its own; at least {small.wafers + 1} work")
    found = _found(Layers(config, spec, workload), None if wafers is None else wafers - small.wafers)
    return max((speculate(one, small, draft, spec, workload) for one in found), key=_rank)


def _replicas(layers: Layers, wafers: int | None) -> Iterator[WaferEstimate]:
    """Copies of the model on equal shares of the wafers, each for its share of the users: 2, 4, 8, … of them."""
    count, users = 2, layers.workload.users
    while wafers is not None and count <= min(wafers, users):
        for one in _fitting(layers.for_users(ceil(users / count)), wafers // count):
            yield one.replicated(count, users)
        count *= 2


def _rank(one: WaferEstimate) -> tuple[float, int]:
    return round(one.tokens_per_second_total, 6), -one.wafers


def _found(layers: Layers, wafers: int | None) -> list[WaferEstimate]:
    """The layouts that fit: with weights streamed in only where nothing else does."""
    config, spec, workload = layers.config, layers.spec, layers.workload
    found = _fitting(layers, wafers)
    if not found and workload.experts == "sharded" and (streamed := Streamed(layers, wafers or 1).best(wafers)):
        found = [streamed]
    if not found:
        where = f"{wafers} {spec.name}" if wafers else f"any number of {spec.name}"
        sharded = workload.experts == "sharded"
        beside = ", nor do the caches alone with weights streamed in" if sharded else " with experts on regions"
        raise WseError(
            f"{config.parameters:,} parameters ({workload.dtype}) and {workload.users:,} × {workload.context:,} tokens "
            f"of cache fit {where} in no way{beside}; by bytes alone both take "
            f"{least_wafers(config, spec, workload)}: fewer users, a shorter context, "
            f"{'' if sharded else 'sharded experts, '}or more wafers work"
        )
    return found


def _fitting(layers: Layers, wafers: int | None) -> list[WaferEstimate]:
    apart = layers.workload.experts == "regions"
    layouts: list[WaferLayout] = [Apart(layers)] if apart else [Shared(layers), Pipelined(layers)]
    tried = (layout.best(wafers) for layout in layouts)
    return [one for one in tried if one is not None]
