"""Weights by canonical name, read one at a time: what a mapping loads onto the wafer."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wse_emu.errors import WseError
from wse_emu.models.config import LayerKind, ModelConfig

FloatArray = NDArray[np.float32]
Shape = tuple[int, ...]


ROW_TABLES = ("embedding", "position_embedding")
"""Tables of rows, which lie as they are looked up in every file."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file: its shape, rows first, its bytes there, and how to read it as float32."""

    shape: Shape
    stored_bytes: int
    read: Callable[[], FloatArray]


def layer_shapes(config: ModelConfig, kind: LayerKind | None = None) -> dict[str, Shape]:
    """Shapes of the tensors of one layer of that kind (None: the first layer's) by the last part of their name.

    Linear weights are (in, out), those of experts (experts, in, out).
    """
    hidden = config.hidden
    shapes = norm_shapes(config, "attention_norm") | {
        "q": (hidden, config.q_width),
        "k": (hidden, config.kv_width),
        "v": (hidden, config.kv_width),
        "o": (config.q_width, hidden),
    }
    if config.attention_bias:
        shapes |= {"q_bias": (config.q_width,), "k_bias": (config.kv_width,), "v_bias": (config.kv_width,)}
    if config.output_bias:
        shapes |= {"o_bias": (hidden,)}
    if config.qk_norm:
        shapes |= {"q_norm": (config.head_dim,), "k_norm": (config.head_dim,)}
    if config.wide_qk_norm:
        shapes |= {"q_norm": (config.q_width,), "k_norm": (config.kv_width,)}
    if config.attention_sinks:
        shapes |= {"sinks": (config.heads,)}
    if config.post_norms:
        shapes |= norm_shapes(config, "attention_post_norm") | norm_shapes(config, "mlp_post_norm")
    sparse = (config.kind(0) if kind is None else kind).sparse
    return shapes | norm_shapes(config, "mlp_norm") | (expert_shapes(config) if sparse else mlp_shapes(config))


def norm_shapes(config: ModelConfig, name: str) -> dict[str, Shape]:
    """Of one norm over the hidden state."""
    shapes: dict[str, Shape] = {name: (config.hidden,)}
    return shapes if config.norm == "rms" else shapes | {f"{name}_bias": (config.hidden,)}


def mlp_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Of the MLP of one layer that is not sparse."""
    hidden, inner = config.hidden, config.intermediate
    shapes: dict[str, Shape] = {"gate": (hidden, inner)} if config.gated else {}
    shapes |= {"up": (hidden, inner), "down": (inner, hidden)}
    biases = {f"{name}_bias": shape[1:] for name, shape in shapes.items()}
    return shapes | biases if config.mlp_bias else shapes


def expert_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Of one sparse layer's router and experts."""
    experts, hidden = config.experts, config.hidden
    assert experts is not None
    count, inner, shared = experts.count, experts.intermediate, experts.shared_intermediate
    each: dict[str, Shape] = {
        "router": (hidden, count),
        "experts_gate": (count, hidden, inner),
        "experts_up": (count, hidden, inner),
        "experts_down": (count, inner, hidden),
    }
    shapes = each | {f"{name}_bias": shape[:-2] + shape[-1:] for name, shape in each.items() if experts.bias}
    if shared:
        shapes |= {"shared_gate": (hidden, shared), "shared_up": (hidden, shared), "shared_down": (shared, hidden)}
    return shapes | {"shared_router": (hidden, 1)} if experts.shared_gate else shapes


def tensor_shapes(config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    """Every canonical name with its shape, one by one: a broken header may claim billions of layers."""
    yield "embedding", (config.vocabulary, config.hidden)
    if config.learned_positions:
        yield "position_embedding", (config.context, config.hidden)
    shapes = {kind: layer_shapes(config, kind) for kind in config.kinds}
    for layer in range(config.layers):
        for name, shape in shapes[config.kind(layer)].items():
            yield f"layers.{layer}.{name}", shape
    yield from norm_shapes(config, "final_norm").items()
    if not config.tied_embeddings:
        yield "lm_head", (config.hidden, config.vocabulary)


@dataclass(frozen=True)
class Fused:
    """Several canonical tensors side by side in one stored tensor, in this order along its outputs.

    With `by_head` the parts of each head lie side by side, head after head, with `in_turn` element after element; all
    have the same width then.
    """

    parts: tuple[str, ...]
    by_head: bool = False
    in_turn: bool = False

    def width(self, shapes: Mapping[str, Shape]) -> int:
        """Outputs of the stored tensor; `shapes` are those of a layer's tensors."""
        return sum(shapes[part][-1] for part in self.parts)

    def pick(self, values: FloatArray, part: str, shapes: Mapping[str, Shape], heads: int) -> FloatArray:
        """The columns of `part` in (…, outputs)."""
        if self.in_turn:
            return values[..., self.parts.index(part) :: len(self.parts)]
        if self.by_head:
            split = np.reshape(values, (*values.shape[:-1], heads, len(self.parts), -1))
            return np.reshape(split[..., self.parts.index(part), :], (*values.shape[:-1], -1))
        start = sum(shapes[before][-1] for before in self.parts[: self.parts.index(part)])
        return values[..., start : start + shapes[part][-1]]


@dataclass(frozen=True)
class NameTable:
    """How a file names the tensors: canonical last part → stored name, with `{layer}` in it.

    A name with `{expert}` in it is that of one expert's part of a canonical tensor of all experts.
    `transposed` says that linear weights are stored (out, in), `turned` lists those that are so all the same; `ignored`
    lists ends of names that carry no weights. `fused` says which canonical tensors share one stored tensor. With
    `norms_from_one` a norm's weight is stored as its difference from 1.
    """

    names: Mapping[str, str]
    transposed: bool
    ignored: tuple[str, ...] = ()
    fused: Mapping[str, Fused] = field(default_factory=dict)
    turned: tuple[str, ...] = ()
    norms_from_one: bool = False

    def stored_name(self, name: str) -> str:
        layer, _, part = name.removeprefix("layers.").rpartition(".")
        return self.names[part].replace("{layer}", layer)

    def pieces(self, name: str, shape: Shape) -> tuple[str, ...]:
        """Stored names of what makes up the canonical tensor ``name``: one, or one an expert."""
        stored = self.stored_name(name)
        if "{expert}" not in stored:
            return (stored,)
        return tuple(stored.replace("{expert}", str(expert)) for expert in range(shape[0]))

    def stored_shape(self, name: str, shape: Shape) -> Shape:
        return shape[::-1] if self.turns(name, shape) else shape

    def turns(self, name: str, shape: Shape) -> bool:
        """Whether the stored array is the transpose of the canonical one."""
        linear = len(shape) == 2 and name not in ROW_TABLES and not name.endswith("_bias")
        return linear and (self.transposed or name in self.turned)


class Weights(Mapping[str, FloatArray]):
    """Lazy tensors: `weights["layers.0.q"]` reads, dequantises and turns one to C-contiguous float32; nothing is kept.

    The names and shapes are those of `tensor_shapes`. Raises `WseError` on making for a missing tensor, a shape that
    disagrees with the config or a tensor that the family does not have; on reading for values that are not finite.
    """

    def __init__(
        self, config: ModelConfig, tensors: Mapping[str, StoredTensor], table: NameTable, *, source: str
    ) -> None:
        self._source = source
        self._table = table
        self._shapes: dict[str, Shape] = {}
        self._tensors: dict[str, StoredTensor] = {}
        self._pieces: dict[str, list[StoredTensor]] = {}
        for name, shape in tensor_shapes(config):
            self._tensors[name] = self._find(tensors, name, shape, config)
            self._shapes[name] = shape
        self._refuse_leftovers(tensors, config)

    def names(self) -> tuple[str, ...]:
        """Canonical names, embedding first, then layer by layer."""
        return tuple(self._tensors)

    @property
    def stored_bytes(self) -> int:
        """Bytes of these tensors in the file, as quantised there."""
        return sum(tensor.stored_bytes for tensor in self._tensors.values())

    def shape(self, name: str) -> Shape:
        """Canonical shape, without reading the tensor."""
        return self._shapes[self._known(name)]

    def __getitem__(self, name: str) -> FloatArray:
        shape = self._shapes[self._known(name)]
        values = self._tensors[name].read()
        return self._checked(name, values.T if self._table.turns(name, shape) else values, shape)

    def expert(self, name: str, number: int) -> FloatArray:
        """What of the tensor ``name`` of all experts is that of expert ``number``, alone where it is stored so."""
        shape = self._shapes[self._known(name)][1:]
        if name not in self._pieces:
            whole: FloatArray = self[name]
            return np.ascontiguousarray(whole[number])
        values = self._pieces[name][number].read()
        return self._checked(name, values.T if self._table.turns(name, shape) else values, shape)

    def _checked(self, name: str, values: FloatArray, shape: Shape) -> FloatArray:
        values = np.ascontiguousarray(values, dtype=np.float32)
        if self._table.norms_from_one and name.endswith("norm"):
            values = values + 1
        if values.shape != shape:
            raise WseError(f"{self._source}: tensor {name} was read as {values.shape}, expected {shape}")
        if not np.isfinite(values).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise WseError(
                f"{self._source}: tensor {name} holds {values[where]} at {where}; every weight must be finite"
            )
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def _known(self, name: str) -> str:
        if name not in self._tensors:
            raise KeyError(name)
        return name

    def _find(self, tensors: Mapping[str, StoredTensor], name: str, shape: Shape, config: ModelConfig) -> StoredTensor:
        pieces = self._table.pieces(name, shape)
        if "{expert}" not in self._table.stored_name(name):
            return self._piece(tensors, pieces[0], name, shape, config)
        parts = [self._piece(tensors, piece, name, shape[1:], config) for piece in pieces]
        self._pieces[name] = parts
        turns = self._table.turns(name, shape[1:])

        def read() -> FloatArray:
            read = (part.read() for part in parts)
            return np.stack([array.T if turns else array for array in read])

        return StoredTensor(shape, sum(part.stored_bytes for part in parts), read)

    def _piece(
        self, tensors: Mapping[str, StoredTensor], stored_name: str, name: str, shape: Shape, config: ModelConfig
    ) -> StoredTensor:
        tensor = tensors.get(stored_name)
        if tensor is None:
            raise WseError(
                f"{self._source}: tensor {stored_name} is missing; a {config.family} model of {config.layers} layers "
                "needs it"
            )
        fused = self._table.fused.get(name.rpartition(".")[2])
        whole = shape if fused is None else (*shape[:-1], fused.width(_shapes_beside(config, name)))
        expected = self._table.stored_shape(name, whole)
        if tensor.shape != expected:
            raise WseError(
                f"{self._source}: tensor {stored_name} has shape {tensor.shape}, the model's config says {expected}"
            )
        return tensor if fused is None else self._part(tensor, fused, name, shape, config)

    def _part(self, tensor: StoredTensor, fused: Fused, name: str, shape: Shape, config: ModelConfig) -> StoredTensor:
        """What of ``tensor`` is the canonical tensor ``name``, stored as the whole is."""
        turns, shapes, part = self._table.turns(name, shape), _shapes_beside(config, name), name.rpartition(".")[2]

        def read() -> FloatArray:
            values = tensor.read()
            picked = fused.pick(values.T if turns else values, part, shapes, config.heads)
            return picked.T if turns else picked

        share = tensor.stored_bytes * shape[-1] // fused.width(shapes)
        return StoredTensor(self._table.stored_shape(name, shape), share, read)

    def _refuse_leftovers(self, tensors: Iterable[str], config: ModelConfig) -> None:
        used = {piece for name in self._tensors for piece in self._table.pieces(name, self._shapes[name])}
        extra = [name for name in tensors if name not in used and not name.endswith(self._table.ignored)]
        if config.tied_embeddings:
            extra = [name for name in extra if name != self._table.stored_name("lm_head")]
        if extra:
            raise WseError(
                f"{self._source}: tensor {extra[0]} has no place in a {config.family} model of {config.layers} layers"
                f" ({len(extra)} such tensors); leaving it out would change the numbers"
            )


def _shapes_beside(config: ModelConfig, name: str) -> dict[str, Shape]:
    """Shapes of the layer that the canonical tensor ``name`` belongs to."""
    return layer_shapes(config, config.kind(int(name.split(".")[1])))
