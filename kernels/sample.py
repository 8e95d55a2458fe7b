"""Choosing the next token: greedily on the wafer, or on the host with temperature, top-k and top-p."""

import numpy as np

from wse_emu.errors import WseError
from wse_emu.program import Builder, Value


def argmax(b: Builder, logits: Value) -> Value:
    """Index (1,) of the largest of logits (n,), on every PE; the lowest index wins a tie."""
    best, index = b.local("argmax", logits, vocabulary=logits.shape[0])
    _, index = b.all_reduce(best, index, axis="x", combine="argmax")
    result: Value = index
    return result


def sample(
    logits: np.ndarray, generator: np.random.Generator, *, temperature: float, top_k: int | None, top_p: float | None
) -> int:
    """Draw a token from softmax(logits / temperature), among the ``top_k`` best or the smallest set of mass ``top_p``.

    ``logits`` (vocabulary,). Both limits may hold at once: top-k first, as in transformers.
    Raises what :func:`check_sampling` raises.
    """
    check_sampling(temperature, top_k, top_p)
    order = np.argsort(-logits, kind="stable")
    if top_k is not None:
        order = order[:top_k]
    scaled = logits[order].astype(np.float64) / temperature
    weights = np.exp(scaled - scaled[0])
    weights /= weights.sum()
    if top_p is not None:
        kept = int(np.searchsorted(np.cumsum(weights), top_p)) + 1
        order, weights = order[:kept], weights[:kept] / weights[:kept].sum()
    return int(generator.choice(order, p=weights))


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """WseError for a temperature that is not positive, a top_k below 1, or a top_p outside (0, 1]."""
    if not temperature > 0:
        raise WseError(f"temperature {temperature:g}: sampling needs one above 0; 0 decodes greedily")
    if top_k is not None and top_k < 1:
        raise WseError(f"top-k {top_k}: at least 1 works")
    if top_p is not None and not 0 < top_p <= 1:
        raise WseError(f"top-p {top_p:g}: above 0 and up to 1 works")
