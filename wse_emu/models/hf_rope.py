"""How the heads of a model in Hugging Face's config.json rotate."""

from math import log

from wse_emu.errors import WseError
from wse_emu.models.fields import Fields
from wse_emu.models.rope import Rope, RopeScaling

DEFAULT_THETA = 10_000.0  # transformers' default, which early Llama files leave out


def read_rope(
    fields: Fields, *, theta_key: str = "rope_theta", theta: float = DEFAULT_THETA, rotated: int | None = None
) -> Rope:
    """`rope_parameters` (transformers 5), or `theta_key` with `rope_scaling` (before); `theta` where none is given."""
    parameters = fields.table("rope_parameters")
    top_theta = fields.number(theta_key, theta)
    found = parameters.number("rope_theta", top_theta)
    if fields.has(theta_key) and found != top_theta:
        raise WseError(f"{fields.source}: {theta_key} {top_theta} contradicts rope_parameters' {found}")
    scaling = fields.table("rope_scaling") if fields.has("rope_scaling") else parameters
    return Rope(found, "half", read_scaling(scaling, fields), rotated)


def rotated_elements(fields: Fields, head_dim: int, key: str, default: float) -> int:
    """How many elements of a head rotate: a share of them, in `rope_parameters` or (before transformers 5) at `key`."""
    share = fields.table("rope_parameters").number("partial_rotary_factor", fields.number(key, default))
    if not 0 < share <= 1:
        raise WseError(f"{fields.source}: {key} {share:g}: above 0 and up to 1 works")
    return int(head_dim * share)


def read_scaling(scaling: Fields, fields: Fields) -> RopeScaling | None:
    """What `rope_type` in the object `scaling` says; `WseError` for a type that is not built."""
    kind = scaling.text("rope_type", scaling.text("type", "default"))
    if kind == "default":
        return None
    if kind == "linear":
        return RopeScaling("linear", scaling.number("factor"))
    if kind == "yarn":
        return _yarn(scaling, fields)
    if kind != "llama3":
        raise WseError(
            f"{fields.source}: rope scaling {kind!r} is not supported; supported: default, linear, llama3, yarn"
        )
    return RopeScaling(
        "llama3",
        scaling.number("factor"),
        scaling.number("low_freq_factor"),
        scaling.number("high_freq_factor"),
        scaling.integer("original_max_position_embeddings"),
    )


def _yarn(scaling: Fields, fields: Fields) -> RopeScaling:
    """As transformers' modeling_rope_utils reads it: the magnitude follows from the factor unless it is given."""
    original = scaling.integer("original_max_position_embeddings")
    factor = scaling.number("factor", fields.number("max_position_embeddings", 0) / max(original, 1))
    wanted, before = (scaling.number(key, 0.0) for key in ("mscale", "mscale_all_dim"))
    found = _magnitude(factor, wanted) / _magnitude(factor, before) if wanted and before else _magnitude(factor, 1.0)
    return RopeScaling(
        "yarn",
        factor,
        original_context=original,
        fast_turns=scaling.number("beta_fast", 32.0),
        slow_turns=scaling.number("beta_slow", 1.0),
        whole_pairs=scaling.flag("truncate", default=True),
        magnitude=scaling.number("attention_factor", found),
    )


def _magnitude(factor: float, scale: float) -> float:
    return 0.1 * scale * log(factor) + 1 if factor > 1 else 1.0
