"""How the heads of a model in Hugging Face's config.json rotate."""

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
    if kind != "llama3":
        raise WseError(f"{fields.source}: rope scaling {kind!r} is not supported; supported: default, linear, llama3")
    return RopeScaling(
        "llama3",
        scaling.number("factor"),
        scaling.number("low_freq_factor"),
        scaling.number("high_freq_factor"),
        scaling.integer("original_max_position_embeddings"),
    )
