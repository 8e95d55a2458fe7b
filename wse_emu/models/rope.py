"""Rotary position embedding: which pairs rotate, and how fast."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wse_emu.errors import WseError

Pairing = Literal["half", "adjacent"]
"""Element i turns with i + head_dim/2 ("half", Hugging Face), or 2i with 2i + 1 ("adjacent", GGUF's llama)."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class RopeScaling:
    """How a model was stretched past the context it was first trained on.

    "linear" divides every frequency by `factor`. "llama3" divides the slow ones by `factor`, leaves the fast ones and
    blends between (Llama 3.1 model card; `transformers`, modeling_rope_utils). "factors" divides frequency i by
    `factors[i]`, which is how GGUF stores the outcome of "llama3" (tensor rope_freqs.weight). "yarn" divides those by
    `factor` that turn less than `slow_turns` times in the original context, leaves those of more than `fast_turns`, and
    blends between, along the pairs; cos and sin are multiplied by `magnitude` (Peng et al., arXiv 2309.00071).
    """

    kind: Literal["linear", "llama3", "factors", "yarn"]
    factor: float = 1.0
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    original_context: int = 8192
    factors: tuple[float, ...] = ()
    fast_turns: float = 32.0
    slow_turns: float = 1.0
    whole_pairs: bool = True
    """The blend begins and ends at a pair ("yarn"); else between two."""
    magnitude: float = 1.0

    def __post_init__(self) -> None:
        numbers = (self.factor, self.low_frequency_factor, self.original_context, *self.factors)
        numbers += (self.fast_turns, self.slow_turns, self.magnitude)
        if not all(np.isfinite(number) and number > 0 for number in numbers):
            raise WseError(f"rope scaling {self.kind!r}: factors and context must be finite and above 0, got {numbers}")
        if not self.low_frequency_factor < self.high_frequency_factor < np.inf:
            raise WseError(
                f"rope scaling {self.kind!r}: low_freq_factor {self.low_frequency_factor} must be below "
                f"high_freq_factor {self.high_frequency_factor}"
            )

    def apply(self, frequencies: FloatArray, theta: float) -> FloatArray:
        """Scaled frequencies in radians per position, shape (head_dim/2,) as given; ``theta`` is their base."""
        if self.kind == "linear":
            return frequencies / self.factor
        if self.kind == "yarn":
            return self._yarn(frequencies, theta)
        if self.kind == "factors":
            return frequencies / self._factors_for(len(frequencies))
        wavelength = 2 * np.pi / frequencies  # positions per turn
        turns = self.original_context / wavelength
        span = self.high_frequency_factor - self.low_frequency_factor
        keep = np.clip((turns - self.low_frequency_factor) / span, 0.0, 1.0)
        return keep * frequencies + (1 - keep) * frequencies / self.factor

    def _yarn(self, frequencies: FloatArray, theta: float) -> FloatArray:
        """As transformers blends: along the pairs, between those that turn just so many times."""
        pairs = len(frequencies)
        turns = np.array([self.fast_turns, self.slow_turns])
        first, last = pairs * np.log(self.original_context / (turns * 2 * np.pi)) / np.log(theta)
        if self.whole_pairs:
            first, last = np.floor(first), np.ceil(last)
        first, last = max(first, 0), min(last, 2 * pairs - 1)
        width = last - first if last != first else 0.001
        slow = np.clip((np.arange(pairs) - first) / width, 0.0, 1.0)
        blended: FloatArray = (1 - slow) * frequencies + slow * frequencies / self.factor
        return blended

    def _factors_for(self, pairs: int) -> FloatArray:
        if len(self.factors) != pairs:
            raise WseError(f"rope scaling has {len(self.factors)} factors, the heads have {pairs} pairs")
        return np.asarray(self.factors, dtype=np.float64)


@dataclass(frozen=True)
class Rope:
    """Base of the frequencies, which elements form a pair, and the scaling, if any."""

    theta: float
    pairing: Pairing
    scaling: RopeScaling | None = None
    rotated: int | None = None
    """How many elements of a head rotate, from its first on; None: all; 0: none (GPT-2)."""

    def __post_init__(self) -> None:
        if self.rotated is not None and (self.rotated < 0 or self.rotated % 2):
            raise WseError(f"rope rotates pairs: {self.rotated} elements of a head cannot; an even number works")
        if not (np.isfinite(self.theta) and self.theta > 0):
            raise WseError(f"rope theta must be finite and above 0, got {self.theta}")
        if self.scaling is not None and self.scaling.kind == "yarn" and self.theta <= 1:
            raise WseError(f"rope scaling 'yarn' needs a theta above 1, got {self.theta}")

    @property
    def rotates(self) -> bool:
        """Whether anything rotates at all."""
        return self.rotated != 0

    @property
    def magnitude(self) -> float:
        """What cos and sin are multiplied by."""
        return 1.0 if self.scaling is None else self.scaling.magnitude

    def inverse_frequencies(self, head_dim: int) -> FloatArray:
        """Angle in radians by which pair i turns per position, shape (head_dim/2,), float64.

        Pairs that do not rotate come last and turn by 0. Raises `WseError` where a head has less than what rotates.
        """
        rotated = self._rotated_of(head_dim)
        exponents = np.arange(0, rotated, 2, dtype=np.float64) / max(rotated, 1)
        frequencies: FloatArray = self.theta**-exponents
        frequencies = frequencies if self.scaling is None else self.scaling.apply(frequencies, self.theta)
        return np.pad(frequencies, (0, (head_dim - rotated) // 2))

    def pair_order(self, head_dim: int) -> NDArray[np.intp]:
        """Which element of a head comes at each place once every pair lies as if the head rotated whole, (head_dim,).

        With the pairing "half" the members of a rotated pair are `rotated` / 2 apart in the model; here they, and
        pairs of those that do not rotate, come head_dim / 2 apart.
        """
        rotated = self._rotated_of(head_dim)
        order = np.arange(head_dim)
        if rotated == head_dim or self.pairing == "adjacent":
            return order
        turning, still = order[:rotated].reshape(2, -1), order[rotated:].reshape(2, -1)
        return np.concatenate([turning, still], axis=1).ravel()

    def _rotated_of(self, head_dim: int) -> int:
        rotated = head_dim if self.rotated is None else self.rotated
        if rotated > head_dim:
            raise WseError(f"rope rotates {rotated} elements of a head, which has {head_dim}")
        return rotated
