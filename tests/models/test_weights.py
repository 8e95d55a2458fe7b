from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from wse_emu.errors import WseError
from wse_emu.models import ModelConfig, Weights, tensor_shapes
from wse_emu.models.weights import NameTable, StoredTensor

PLAIN = NameTable({"embedding": "E", "final_norm": "F", "lm_head": "H"}, transposed=True)


def _stored(array: Any, reads: list[int] | None = None) -> StoredTensor:
    def read() -> Any:
        if reads is not None:
            reads.append(1)
        return array

    return StoredTensor(array.shape, array.nbytes, read)


def test_names_and_shapes_count_every_parameter_once(config: ModelConfig) -> None:
    shapes = dict(tensor_shapes(config))
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == config.parameters
    assert ("lm_head" in shapes) is not config.tied_embeddings
    assert ("layers.0.q_bias" in shapes) is config.attention_bias
    assert ("layers.1.k_norm" in shapes) is config.qk_norm


def test_a_billion_claimed_layers_fail_at_the_first_missing_one(small: ModelConfig) -> None:
    endless = replace(small, layers=10**12)
    embedding = _stored(np.zeros((small.vocabulary, small.hidden), np.float32))
    table = NameTable({**PLAIN.names, "attention_norm": "N{layer}"}, transposed=True)
    with pytest.raises(WseError, match="tensor N0 is missing; a llama model of 1000000000000 layers needs it"):
        Weights(endless, {"E": embedding}, table, source="x")


def test_tensors_are_read_when_asked_for_and_turned_to_in_out(
    small: ModelConfig, random_tensors: Callable[..., Any]
) -> None:
    reads: list[int] = []
    canonical = random_tensors(small)
    names = {name.rpartition(".")[2]: name.replace("layers.0", "layers.{layer}") for name in canonical}
    names |= {name.rpartition(".")[2]: "layers.{layer}." + name.rpartition(".")[2] for name in canonical if "." in name}
    table = NameTable(names, transposed=True)
    files = {
        name: _stored(array.T if table.turns(name, array.shape) else array, reads) for name, array in canonical.items()
    }
    weights = Weights(small, files, table, source="x")
    assert reads == []
    assert weights.names() == tuple(canonical)
    assert len(weights) == len(canonical)
    assert "lm_head" in weights
    assert "layers.9.q" not in weights
    for name, array in canonical.items():
        found = weights[name]
        np.testing.assert_array_equal(found, array)
        assert found.flags.c_contiguous
        assert found.dtype == np.float32
        assert weights.shape(name) == array.shape
    assert len(reads) == len(canonical)
    assert weights.stored_bytes == sum(array.nbytes for array in canonical.values())
    with pytest.raises(KeyError):
        weights["layers.9.q"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_named(
    write_folder: Callable[..., Any], small: ModelConfig, random_tensors: Callable[..., Any], bad: float
) -> None:
    from wse_emu.models import load_model

    tensors = random_tensors(small)
    tensors["layers.1.down"][3, 5] = bad
    weights = load_model(str(write_folder(small, tensors))).weights
    assert np.isfinite(weights["layers.0.down"]).all()
    with pytest.raises(WseError, match=r"tensor layers\.1\.down holds -?(nan|inf) at \(3, 5\); every weight"):
        weights["layers.1.down"]
