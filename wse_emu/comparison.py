"""Two runs of one model side by side: how far apart are their numbers, and where does the text begin to differ?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wse_emu.errors import WseError
from wse_emu.program.precision import BITS, FLOATS, round_to


class Logits(Protocol):
    """Decoded tokens with what they were chosen from; :class:`wse_emu.decode.Result` is one, :class:`Run` another."""

    @property
    def token_ids(self) -> Sequence[int]: ...

    @property
    def logits(self) -> np.ndarray:
        """(tokens, vocabulary)."""

    @property
    def dtype(self) -> str:
        """Of the numbers that the logits were computed as."""


@dataclass(frozen=True)
class Run:
    """Token ids, logits (tokens, vocabulary), and the type of the latter."""

    token_ids: Sequence[int]
    logits: np.ndarray
    dtype: str = "float32"


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found."""

    cosines: tuple[float, ...]
    """Cosine similarity of the logits, token after token; NaN where a run has numbers that are not finite."""
    max_ulp: int
    """Most representable numbers of ``dtype`` between a logit and its counterpart; large around zero."""
    chosen_ulp: int
    """The same for the logit that the reference chose."""
    max_error: float
    """Largest absolute difference of a logit."""
    first_differing: int | None
    """Place of the first token that differs, None if none does."""
    differing: int
    """How many tokens differ of those compared."""
    dtype: str
    """The coarser type of the two runs."""

    @property
    def cosine(self) -> float:
        """The lowest of the tokens'."""
        return min(self.cosines)


def compare(reference: Logits, other: Logits, *, forced: bool = False) -> Comparison:
    """How far ``other`` is from ``reference``, as far as both have tokens.

    Numbers are compared up to the first token that differs, that one included: from there on the runs have read other
    texts. With ``forced`` both were made to read the same text, and all are compared.
    Raises WseError where there is nothing to compare.
    """
    mine, theirs = np.asarray(reference.logits), np.asarray(other.logits)
    if mine.ndim != 2 or mine.shape[1:] != theirs.shape[1:]:
        raise WseError(f"logits {mine.shape} and {theirs.shape}: two arrays (tokens, vocabulary) of one model work")
    for run in (reference, other):
        if len(run.token_ids) != len(run.logits) or not len(run.token_ids):
            raise WseError(f"a run of {len(run.token_ids)} tokens and {len(run.logits)} rows of logits: as many work")
    differing = _first_differing(reference.token_ids, other.token_ids)
    count = min(len(mine), len(theirs)) if forced or differing is None else differing + 1
    dtype = max(reference.dtype, other.dtype, key=_coarseness)
    mine, theirs = mine[:count], theirs[:count]
    steps = ulp_distance(mine, theirs, dtype)
    chosen = steps[np.arange(count), np.asarray(reference.token_ids[:count])]
    with np.errstate(invalid="ignore"):
        error = float(np.abs(mine.astype(np.float64) - theirs).max())
    others = int(np.not_equal(reference.token_ids[:count], other.token_ids[:count]).sum())
    return Comparison(_cosines(mine, theirs), int(steps.max()), int(chosen.max()), error, differing, others, dtype)


def ulp_distance(left: np.ndarray, right: np.ndarray, dtype: str) -> np.ndarray:
    """How many representable numbers of ``dtype`` lie from one to the other, int64; both are rounded to it first.

    Infinity is one step beyond the largest number; both zeros are one number.
    """
    steps: np.ndarray = np.abs(_ordinal(left, dtype) - _ordinal(right, dtype))
    return steps


def _ordinal(array: np.ndarray, dtype: str) -> np.ndarray:
    """Floats as integers in the same order, a step for each representable number."""
    bits = BITS[dtype]
    pattern = np.ascontiguousarray(round_to(array, dtype)).view(f"u{bits // 8}").astype(np.int64)
    magnitude = pattern & ((1 << (bits - 1)) - 1)
    return np.where(pattern >> (bits - 1), -magnitude, magnitude)


def _cosines(left: np.ndarray, right: np.ndarray) -> tuple[float, ...]:
    left, right = left.astype(np.float64), right.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        dots = (left * right).sum(axis=1)
        found = dots / np.sqrt((left * left).sum(axis=1) * (right * right).sum(axis=1))
    return tuple(float(cosine) for cosine in found)


def _first_differing(left: Sequence[int], right: Sequence[int]) -> int | None:
    return next((place for place, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), None)


def _coarseness(dtype: str) -> int:
    return FLOATS.index(dtype)
