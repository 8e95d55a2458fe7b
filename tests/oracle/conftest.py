"""The plain numpy decoder over the models that the package itself reads."""

import pytest

from benchmarks.plain_decoder import PlainDecoder
from tests.oracle import smollm2
from wse_emu.models import Model, load_model


@pytest.fixture(scope="session")
def tiny_model() -> Model:
    return load_model("tiny")


@pytest.fixture(scope="session")
def smollm2_model() -> Model:
    """Skips where the file is not fetched."""
    smollm2.path()
    return load_model("smollm2")


@pytest.fixture(scope="session")
def plain_tiny(tiny_model: Model) -> PlainDecoder:
    return PlainDecoder(tiny_model.config, tiny_model.weights)


@pytest.fixture(scope="session")
def plain_smollm2(smollm2_model: Model) -> PlainDecoder:
    return PlainDecoder(smollm2_model.config, smollm2_model.weights, positions=128)
