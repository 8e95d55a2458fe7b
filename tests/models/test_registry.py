import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from wse_emu.errors import WseError
from wse_emu.models import load_model, model_names
from wse_emu.models.fetch import FETCHABLE, find_fetched


def test_known_names() -> None:
    assert model_names() == ("tiny", "smollm2")


def test_names_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WseError, match=r"no model 'gpt5': known names are tiny, smollm2; or give a .gguf file"):
        load_model("gpt5")
    with pytest.raises(WseError, match=r"config\.json is missing"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("name", ["x" * 5000, "~no-such-user/x.gguf", "nul\0byte", ""])
def test_paths_that_the_system_refuses_are_one_line(name: str) -> None:
    with pytest.raises(WseError):
        load_model(name)


def test_a_single_safetensors_file_points_at_its_folder(write_folder: Callable[..., Path]) -> None:
    with pytest.raises(WseError, match="give the folder"):
        load_model(str(write_folder() / "model.safetensors"))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(WseError, match="not a GGUF file"):
        load_model(str(tmp_path / "model.bin"))


@pytest.mark.parametrize("name", ["hf:", "hf:owner", "hf:owner/", "hf:/name", "hf:a/b/c"])
def test_hub_names_have_an_owner_and_a_name(name: str) -> None:
    with pytest.raises(WseError, match=f"written hf:owner/name, got '{name}'"):
        load_model(name)


def _hub(monkeypatch: pytest.MonkeyPatch, download: Callable[..., str] | None) -> None:
    hub = ModuleType("huggingface_hub")
    if download is not None:
        hub.snapshot_download = download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)


def test_a_hub_model_is_downloaded_without_its_pickles(
    monkeypatch: pytest.MonkeyPatch, write_folder: Callable[..., Path]
) -> None:
    asked: list[Any] = []

    def download(name: str, *, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(write_folder())

    _hub(monkeypatch, download)
    assert load_model("hf:owner/name").name == "hf:owner/name"
    ((name, patterns),) = asked
    assert name == "owner/name"
    assert not [pattern for pattern in patterns if "bin" in pattern]


def test_hub_failures_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(name: str, *, allow_patterns: list[str]) -> str:
        raise RuntimeError(f"no\nnetwork for {name}")

    _hub(monkeypatch, download)
    with pytest.raises(WseError, match="cannot get hf:a/b from the hub: no network for a/b"):
        load_model("hf:a/b")
    _hub(monkeypatch, None)
    with pytest.raises(WseError, match=r"pip install 'wse-emu\[hub\]'"):
        load_model("hf:a/b")


def _transformers_tensors(transformers: Any, path: Path) -> tuple[dict[str, Any], int, float]:
    """Its own reading of a GGUF file by Hugging Face's names, as `from_pretrained` does it but without accelerate."""
    import torch
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    keys = load_gguf_checkpoint(str(path))["config"]
    config = transformers.AutoConfig.for_model(**keys)
    with torch.device("meta"):
        empty = transformers.AutoModelForCausalLM.from_config(config)
    tensors = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=empty)["tensors"]
    state = {name: tensor.numpy() for name, tensor in tensors.items()}
    return state, empty.num_parameters(), config.rope_parameters["rope_theta"]


@pytest.mark.slow
@pytest.mark.skipif(find_fetched("smollm2") is None, reason="smollm2 is not fetched")
def test_smollm2_is_what_transformers_reads_from_the_same_file() -> None:
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    path = find_fetched("smollm2")
    assert path is not None
    state, parameters, theta = _transformers_tensors(transformers, path)
    model = load_model("smollm2")
    config = model.config
    assert model.sha256 == FETCHABLE["smollm2"].sha256
    assert config.parameters == parameters == 134_515_008
    assert config.rope.theta == theta
    for name, heads in (("q", config.heads), ("k", config.kv_heads)):
        # transformers puts the pairs (i, i + head_dim/2) back; the file has them side by side
        halves = state[f"model.layers.7.self_attn.{name}_proj.weight"].T.reshape(-1, heads, 2, config.head_dim // 2)
        adjacent = halves.swapaxes(2, 3).reshape(config.hidden, -1)
        np.testing.assert_array_equal(model.weights[f"layers.7.{name}"], adjacent)
    for name, theirs_name in (("v", "self_attn.v_proj"), ("o", "self_attn.o_proj"), ("down", "mlp.down_proj")):
        np.testing.assert_array_equal(
            model.weights[f"layers.29.{name}"], state[f"model.layers.29.{theirs_name}.weight"].T
        )
    np.testing.assert_array_equal(model.weights["embedding"], state["model.embed_tokens.weight"])
    np.testing.assert_array_equal(model.weights["final_norm"], state["model.norm.weight"])
