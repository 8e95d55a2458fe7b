"""Reductions whose numbers travel in the wavelets: the numeric engine's oracle.

The `numeric` engine adds in the order that a schedule says; here the same schedule becomes routes and instructions,
and the fabric itself does the adding, wavelet by wavelet.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from wse_emu.engines.assembly import assemble_body
from wse_emu.engines.backend import Backend
from wse_emu.engines.code import FabricProgram, Operand
from wse_emu.engines.wavelet import Machine, Outcome
from wse_emu.engines.wavelet.payload import ARGMAX
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import Body, Builder, Layout, Shift
from wse_emu.program.schedule import Schedule


def carry(body: Body, spec: WaferSpec, blocks: np.ndarray, combine: str) -> tuple[np.ndarray, Outcome]:
    """Run ``body``, one collective, with ``blocks`` (uint32 ``[rows, cols, words]``) in the PEs' memories.

    ``combine`` is the operation of the words. Returns the memories after it, ``[rows, cols, words]``.
    """
    program = assemble_body(body, spec)
    words = blocks.shape[-1]
    (step,) = body.steps
    shifting = isinstance(step, Shift)
    program.memory = np.concatenate([blocks, np.zeros_like(blocks)], axis=-1)
    _give_operands(program, words, combine, shifting=shifting)
    outcome = Machine(program).run()
    assert outcome.memory is not None
    swapped = 0
    if isinstance(step, Shift) and step.distance % 2 and (body.rows if step.axis == "y" else body.cols) > 1:
        swapped = words
    return outcome.memory[..., swapped : swapped + words], outcome


def _give_operands(program: FabricProgram, words: int, combine: str, *, shifting: bool) -> None:
    """Streams work on the block; a shift's rounds take turns between two of them."""
    told, sent, received = program.code.instructions, 0, 0
    for index, instruction in enumerate(told):
        address = 0
        if shifting and instruction.kind == "send":
            address, sent = sent % 2 * words, sent + 1
        elif shifting and instruction.kind == "recv":
            address, received = (received + 1) % 2 * words, received + 1
        told[index] = replace(instruction, operand=Operand(address, combine=combine))
        if program.code.last[index]:
            sent = received = 0


class FabricBackend(Backend):
    """The array API, with every reduction done by a line of PEs of the wafer ``spec``."""

    def __init__(self, xp: Any, spec: WaferSpec) -> None:
        super().__init__("fabric", xp)
        self._spec = spec

    def combine(self, plan: Schedule, values: tuple[Any, ...], operation: str) -> tuple[Any, ...]:
        """Several values travel one after the other; those of an argmax in pairs of value (a float32) and index."""
        lines = [np.ascontiguousarray(value) for value in values]
        paired = operation == "argmax"
        flat = [_words(line.astype(np.float32) if paired and i == 0 else line) for i, line in enumerate(lines)]
        blocks = np.stack(flat, axis=-1).reshape(plan.extent, -1) if paired else np.concatenate(flat, axis=-1)
        name = ARGMAX if paired else f"{operation}_{lines[0].dtype}"
        memory, _ = carry(_reduction(plan, blocks.shape[-1]), self._spec, blocks[None], name)
        root = memory[0, plan.root]
        ends = np.cumsum([part.shape[-1] for part in flat])
        parts = list(root.reshape(-1, 2).T) if paired else np.split(root, ends[:-1])
        return tuple(
            self.xp.asarray(_numbers(part, np.float32 if paired and i == 0 else line.dtype, line))
            for i, (part, line) in enumerate(zip(parts, lines, strict=True))
        )


def _words(line: np.ndarray) -> np.ndarray:
    """Numbers ``[line, …]`` as words ``[line, words]``, two of 16 bits in one; an odd one has a zero beside it."""
    flat = line.reshape(line.shape[0], -1)
    if flat.shape[1] * flat.itemsize % np.dtype(np.uint32).itemsize:
        flat = np.concatenate([flat, np.zeros_like(flat[:, :1])], axis=1)
    return np.ascontiguousarray(flat).view(np.uint32)


def _numbers(words: np.ndarray, dtype: object, line: np.ndarray) -> np.ndarray:
    """``words`` of ``dtype`` as a block of ``line`` has them."""
    shape = line.shape[1:]
    flat = np.ascontiguousarray(words).view(dtype)[: int(np.prod(shape))]  # type: ignore[call-overload]
    block: np.ndarray = flat.astype(line.dtype).reshape(shape)
    return block


def _reduction(plan: Schedule, words: int) -> Body:
    b = Builder("reduction", 1, plan.extent)
    x = b.input("x", (plan.extent, words), Layout(("x", None)))
    return b.build(b.reduce(x, axis="x", algorithm=plan.algorithm))
