"""A plain numpy decoder of the Llama family: float32, one sequence, one token at a time.

It is the baseline of the emulator's speed and, sharing no arithmetic with it, an oracle of its numbers. Run it with one
BLAS thread: ``OPENBLAS_NUM_THREADS=1 python benchmarks/plain_decoder.py --model smollm2 --tokens 32``.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from wse_emu.models import ModelConfig
    from wse_emu.models.rope import Rope

FloatArray = NDArray[np.float32]
FAMILIES = ("llama", "qwen2", "qwen3")
THREADS = "OPENBLAS_NUM_THREADS"


@dataclass(frozen=True)
class Layer:
    """One layer; matrices are (in, out), those that read the same vector side by side."""

    attention_norm: FloatArray
    qkv: FloatArray
    qkv_bias: FloatArray | None
    q_norm: FloatArray | None
    k_norm: FloatArray | None
    o: FloatArray
    mlp_norm: FloatArray
    gate_up: FloatArray
    down: FloatArray
    keys: FloatArray
    """(kv_heads, positions, head_dim), as are the values: the cache, allocated once."""
    values: FloatArray


class PlainDecoder:
    """Decodes token after token; ``weights`` are by canonical name, linear ones (in, out), and are copied.

    ``positions`` is the room in the KV cache, by default the model's context but at most 512.
    """

    def __init__(self, config: "ModelConfig", weights: Mapping[str, FloatArray], positions: int | None = None) -> None:
        if config.family not in FAMILIES:
            raise ValueError(f"the plain decoder knows {', '.join(FAMILIES)}, not {config.family}")
        self.config = config
        self.positions = min(config.context, 512) if positions is None else positions
        self._layers = [self._load(weights, f"layers.{index}.") for index in range(config.layers)]
        self._final_norm = weights["final_norm"]
        self._embedding = weights["embedding"]  # (vocabulary, hidden)
        self._head = self._embedding.T if config.tied_embeddings else weights["lm_head"]  # (hidden, vocabulary)
        angles = np.outer(np.arange(self.positions), inverse_frequencies(config.rope, config.head_dim))
        self._cos, self._sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        self._adjacent = config.rope.pairing == "adjacent"
        self.reset()

    def reset(self) -> None:
        """Forget all tokens."""
        self.position = 0

    def step(self, token_id: int) -> FloatArray:
        """Logits (vocabulary,) float32 of the token after ``token_id``."""
        if self.position >= self.positions:
            raise IndexError(f"the cache has room for {self.positions} positions")
        x = self._embedding[token_id]
        for layer in self._layers:
            x = x + self._attention(layer, self._norm(x, layer.attention_norm))
            gate, up = np.split(self._norm(x, layer.mlp_norm) @ layer.gate_up, 2)
            x = x + (gate / (1 + np.exp(-gate)) * up) @ layer.down
        self.position += 1
        return self._norm(x, self._final_norm) @ self._head

    def greedy(self, prompt_ids: Sequence[int], tokens: int) -> tuple[list[int], FloatArray]:
        """New token ids, and the logits (tokens, vocabulary) that each was chosen from."""
        self.reset()
        for token in prompt_ids[:-1]:
            self.step(token)
        chosen, rows = [int(prompt_ids[-1])], []
        for _ in range(tokens):
            rows.append(self.step(chosen[-1]))
            chosen.append(int(np.argmax(rows[-1])))
        return chosen[1:], np.stack(rows)

    def _load(self, weights: Mapping[str, FloatArray], prefix: str) -> Layer:
        config = self.config
        cache = (config.kv_heads, self.positions, config.head_dim)

        def beside(*names: str) -> FloatArray:
            return np.ascontiguousarray(np.concatenate([weights[prefix + name] for name in names], axis=-1))

        def optional(name: str) -> FloatArray | None:
            return weights[prefix + name] if config.qk_norm else None

        return Layer(
            attention_norm=weights[prefix + "attention_norm"],
            qkv=beside("q", "k", "v"),
            qkv_bias=beside("q_bias", "k_bias", "v_bias") if config.attention_bias else None,
            q_norm=optional("q_norm"),
            k_norm=optional("k_norm"),
            o=weights[prefix + "o"],
            mlp_norm=weights[prefix + "mlp_norm"],
            gate_up=beside("gate", "up"),
            down=weights[prefix + "down"],
            keys=np.zeros(cache, np.float32),
            values=np.zeros(cache, np.float32),
        )

    def _attention(self, layer: Layer, x: FloatArray) -> FloatArray:
        config, now = self.config, self.position
        qkv = x @ layer.qkv
        if layer.qkv_bias is not None:
            qkv = qkv + layer.qkv_bias
        heads = qkv.reshape(-1, config.head_dim)  # queries, then keys, then values
        q, k, v = np.split(heads, (config.heads, config.heads + config.kv_heads))
        if layer.q_norm is not None and layer.k_norm is not None:
            q, k = self._norm(q, layer.q_norm), self._norm(k, layer.k_norm)
        layer.keys[:, now], layer.values[:, now] = self._rotate(k), v
        grouped = self._rotate(q).reshape(config.kv_heads, -1, config.head_dim)
        scores = grouped @ layer.keys[:, : now + 1].transpose(0, 2, 1) * np.float32(config.head_dim**-0.5)
        weight = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weight /= weight.sum(axis=-1, keepdims=True)
        mixed: FloatArray = (weight @ layer.values[:, : now + 1]).reshape(-1)
        return mixed @ layer.o

    def _norm(self, x: FloatArray, gamma: FloatArray) -> FloatArray:
        mean_square = np.mean(x * x, axis=-1, keepdims=True)
        normed: FloatArray = x / np.sqrt(mean_square + np.float32(self.config.norm_epsilon)) * gamma
        return normed

    def _rotate(self, x: FloatArray) -> FloatArray:
        """Turns the pairs of each row of (heads, head_dim) by the angles of this position."""
        cos, sin = self._cos[self.position], self._sin[self.position]
        half = x.shape[1] // 2
        first, second = (x[:, ::2], x[:, 1::2]) if self._adjacent else (x[:, :half], x[:, half:])
        turned = (first * cos - second * sin, first * sin + second * cos)
        return np.stack(turned, axis=-1).reshape(x.shape) if self._adjacent else np.concatenate(turned, axis=1)


def inverse_frequencies(rope: "Rope", head_dim: int) -> NDArray[np.float64]:
    """Radians per position of each pair, (head_dim/2,); written out here as this oracle borrows no formula."""
    frequencies: NDArray[np.float64] = 1.0 / rope.theta ** (np.arange(0, head_dim, 2) / head_dim)
    scaling = rope.scaling
    if scaling is None:
        return frequencies
    slowed: NDArray[np.float64] = frequencies / scaling.factor
    if scaling.kind == "linear":
        return slowed
    if scaling.kind == "factors":
        return frequencies / np.array(scaling.factors, dtype=np.float64)
    # Llama 3.1: waves longer than the old context / low factor slow down, short ones stay, those between are blended
    long, short = (scaling.original_context / f for f in (scaling.low_frequency_factor, scaling.high_frequency_factor))
    waves = 2 * np.pi / frequencies
    smooth = (scaling.original_context / waves - scaling.low_frequency_factor) / (
        scaling.high_frequency_factor - scaling.low_frequency_factor
    )
    blended = (1 - smooth) * slowed + smooth * frequencies
    return np.where(waves > long, slowed, np.where(waves < short, frequencies, blended))


def seconds_per_token(decoder: PlainDecoder, prompt_ids: Sequence[int], tokens: int) -> list[float]:
    """Wall time of each new token, the prompt not counted."""
    decoder.reset()
    for token in prompt_ids[:-1]:
        decoder.step(token)
    token, seconds = int(prompt_ids[-1]), []
    for _ in range(tokens):
        started = perf_counter()
        token = int(np.argmax(decoder.step(token)))
        seconds.append(perf_counter() - started)
    return seconds


def main() -> int:
    """Prints tokens/s of one model; exit 2 where the thread count is not set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="as for wse-emu decode (default: smollm2)")
    parser.add_argument("--tokens", type=int, default=32, help="new tokens (default: 32)")
    parser.add_argument("--prompt", default="Once upon a time, in a village by the sea,")
    options = parser.parse_args()
    if options.tokens < 1 or not options.prompt:
        parser.error("--tokens must be at least 1 and --prompt not empty")
    if THREADS not in os.environ:
        print(f"set {THREADS}=1 first: the time depends on it, and numpy reads it when it starts", file=sys.stderr)
        return 2
    from wse_emu.errors import WseError
    from wse_emu.models import load_model

    try:
        model = load_model(options.model)
    except WseError as error:
        print(error, file=sys.stderr)
        return 2
    prompt_ids = model.tokenizer.encode(options.prompt) if model.tokenizer else list(range(8))
    decoder = PlainDecoder(model.config, model.weights, positions=len(prompt_ids) + options.tokens)
    seconds = seconds_per_token(decoder, prompt_ids, options.tokens)
    print(f"model {model.name}, {options.tokens} tokens, {THREADS}={os.environ[THREADS]}")
    print(f"{len(seconds) / sum(seconds):.2f} tokens/s, median {1e3 * float(np.median(seconds)):.2f} ms a token")
    return 0


if __name__ == "__main__":
    sys.exit(main())
