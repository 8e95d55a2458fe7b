"""What several readers of config.json look up alike."""

from collections.abc import Mapping, Sequence

from wse_emu.errors import WseError
from wse_emu.models.config import Activation
from wse_emu.models.fields import Fields

ACTIVATIONS: Mapping[str, Activation] = {
    "silu": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
MOST_LAYERS = 10_000
LAYER_TYPES = ("full_attention", "sliding_attention")


def read_layers(fields: Fields) -> int:
    """Few enough to list their kinds, whatever a damaged file claims."""
    layers = fields.integer("num_hidden_layers")
    if layers > MOST_LAYERS:
        raise WseError(f"{fields.source}: num_hidden_layers {layers}: up to {MOST_LAYERS} work")
    return layers


def read_windowed(fields: Fields, layers: int, pattern: int) -> tuple[bool, ...]:
    """Which layers slide: as `layer_types` says, else all but every `pattern`-th."""
    types = fields.values.get("layer_types")
    if types is None:
        if pattern < 1:
            raise WseError(f"{fields.source}: sliding_window_pattern {pattern}: at least 1 works")
        return tuple((layer + 1) % pattern > 0 for layer in range(layers))
    if not isinstance(types, Sequence) or any(kind not in LAYER_TYPES for kind in types):
        raise WseError(f"{fields.source}: layer_types must list {' or '.join(LAYER_TYPES)}, got {repr(types)[:60]}")
    return tuple(kind == "sliding_attention" for kind in types)


def read_window(fields: Fields, default: int | None) -> int | None:
    """Null, unlike a key left out, says that there is none."""
    stated = fields.values.get("sliding_window", default) is not None
    return fields.integer("sliding_window", default) if stated else None


def read_activation(fields: Fields, key: str, default: str) -> Activation:
    name = fields.text(key, default)
    if name not in ACTIVATIONS:
        raise WseError(f"{fields.source}: {key} {name!r} is not supported; supported: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def even_share(fields: Fields, hidden_key: str, heads_key: str) -> int:
    hidden, heads = fields.integer(hidden_key), fields.integer(heads_key)
    if heads < 1 or hidden % heads:
        raise WseError(f"{fields.source}: {hidden_key} {hidden} is not a multiple of {heads_key} {heads}")
    return hidden // heads


def refuse(fields: Fields, *flags: str) -> None:
    for flag in flags:
        if fields.flag(flag, default=False):
            raise WseError(f"{fields.source}: {flag} is not supported")
