"""What `load_model` returns."""

from dataclasses import dataclass

from wse_emu.models.config import ModelConfig
from wse_emu.models.tokenizer import Tokenizer
from wse_emu.models.weights import Weights


@dataclass(frozen=True)
class Model:
    """A model ready to be mapped: its shape, its weights, its tokenizer if it has one."""

    name: str
    config: ModelConfig
    weights: Weights
    tokenizer: Tokenizer | None
    source: str
    """The path, or a description, of where the weights came from."""
    sha256: str | None
    """Of the weights' file, for the models that are known by name; a path is not hashed, as it may be huge."""
