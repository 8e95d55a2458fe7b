"""Random small programs for the machine of docs/machine.md, most of which come to an end.

A draft is made of *operations* in one order that all PEs keep, so that no PE waits for a later one: a stream from the
root of a tree to its leaves, a chain of trees that combines on the way, a line of PEs that take turns by switches, a
meeting with the host. What the routers do with wavelets in a tree depends on their order alone, not on cycles, so the
draft knows how many arrive where. Some drafts are spoiled at the end; then they may deadlock, or put two heads at once.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import numpy as np
from hypothesis import strategies as st

from wse_emu.engines.code import RAMP, Code, Color, FabricProgram, Filter, Instruction, Operand, Pop, control, port
from wse_emu.fabric.directions import DIRECTIONS, Direction
from wse_emu.fabric.routes import PORTS
from wse_emu.hardware.wafer import WaferSpec, load_wafer

Place = tuple[int, int]
"""(row, column)."""
Word = tuple[int, bool]
"""A wavelet: its word, and whether it is a control wavelet."""
SENT, STORED, ARGUMENTS, WORDS = 0, 32, 64, 80
"""Words of memory: what is sent and combined with what passes, what is received, arguments of tasks; all of them."""
COMMANDS = ("advance", "advance", "advance", "reset", "nop")


@dataclass(frozen=True)
class Features:
    """Chances, from 0 to 1, of what a program may hold."""

    memory: float = 0.5
    switches: float = 0.3
    filters: float = 0.2
    tasks: float = 0.3
    controls: float = 0.2
    """Of control wavelets on a tree without switches."""
    gathers: float = 0.15
    background: float = 0.25
    host: float = 0.1
    spoiled: float = 0.1


TYPICAL = Features()
PLAIN = Features(switches=0, filters=0, tasks=0, controls=0, gathers=0, host=0, spoiled=0)
"""Static routes and the instructions of collectives only."""
RICH = Features(memory=0.7, switches=0.6, filters=0.5, tasks=0.6, controls=0.5, gathers=0.4, host=0.2, spoiled=0.15)


@dataclass(frozen=True)
class Case:
    program: FabricProgram
    start: np.ndarray | None
    seed: int


@dataclass
class Tree:
    """One multicast route of a color: ``edges`` lead from router to router, ``ramps`` are where wavelets may get out.

    ``ways[place]`` are the outputs by switch position; ``position``, ``closed`` and ``counted`` follow the wavelets.
    """

    color: int
    root: Place
    parent: dict[Place, Direction]
    """The way in which a wavelet comes to each place but the root."""
    ways: dict[Place, list[int]]
    initial: dict[Place, int]
    filters: dict[Place, Filter]
    by_tasks: bool
    controls: bool
    position: dict[Place, int] = field(default_factory=dict)
    closed: set[Place] = field(default_factory=set)
    counted: dict[Place, int] = field(default_factory=dict)

    @property
    def ramps(self) -> list[Place]:
        return [place for place, ways in self.ways.items() if any(way & RAMP for way in ways)]

    @property
    def plain(self) -> bool:
        """Whether the order of its wavelets does not matter."""
        return not self.controls and all(told.period for told in self.filters.values())


@dataclass
class Pe:
    """The instructions of one PE while they are drawn."""

    main: list[Instruction] = field(default_factory=list)
    tasks: list[list[Instruction]] = field(default_factory=list)
    """From task 1 on."""
    on_data: dict[int, int] = field(default_factory=dict)
    on_control: dict[int, int] = field(default_factory=dict)
    under_way: dict[tuple[str, int], str] = field(default_factory=dict)
    """(direction, color) -> kind of what may still run in the background."""


def step(place: Place, way: Direction) -> Place:
    dx, dy = way.step
    return place[0] + dy, place[1] + dx


class Draft:
    """Draws one program from ``rng``."""

    def __init__(self, rng: random.Random, features: Features, most: tuple[int, int] = (5, 6)) -> None:
        self.rng, self.features = rng, features
        self.rows, self.cols = rng.randint(1, most[0]), rng.randint(1, most[1])
        self.spec = draw_spec(rng)
        self.payloads = self.chance(features.memory)
        self.floats = self.chance(0.6)
        self.memory = self.draw_memory()
        self.pes = {(row, col): Pe() for row in range(self.rows) for col in range(self.cols)}
        self.taken: list[set[Place]] = []
        self.trees: list[Tree] = []
        self.gathers: list[tuple[int, list[Place]]] = []
        self.lines: dict[int, list[Place]] = {}
        self.clash: tuple[int, Place] | None = None
        self.rings: list[bool] = []
        self.pops: list[Pop] = []
        for _ in range(rng.randint(1, 5)):
            self.draw_color()

    def chance(self, share: float) -> bool:
        return share > 0 and self.rng.randint(0, 99) < round(share * 100)

    def draw_memory(self) -> np.ndarray:
        """Small whole float32 numbers, where every sum is exact, or any words."""
        words = np.random.default_rng(self.rng.randint(0, 1 << 16))
        shape = (self.rows, self.cols, WORDS)
        if self.floats:
            return words.integers(1, 64, shape).astype(np.float32).view(np.uint32)
        return words.integers(0, 1 << 32, shape, dtype=np.uint32)

    # Routes

    def draw_color(self) -> None:
        """A color with a few trees that do not meet, or with a line of PEs that gather by switches."""
        c = len(self.taken)
        self.taken.append(set())
        self.rings.append(self.chance(0.5))
        self.pops.append(self.rng.choice(("never", "always", "on_advance")))
        if self.chance(self.features.gathers):
            line = self.draw_line(c)
            if len(line) > 1:
                self.rings[c] = False
                self.gathers.append((c, line))
                self.lines[c] = line
                return
        switched = self.chance(self.features.switches)
        by_tasks = self.chance(self.features.tasks)
        for _ in range(self.rng.randint(1, 3)):
            self.draw_tree(c, switched, by_tasks)

    def free(self, c: int, place: Place) -> list[Direction]:
        """The ways from ``place`` to routers that do nothing with color ``c`` so far."""
        return [way for way in DIRECTIONS if step(place, way) in self.pes and step(place, way) not in self.taken[c]]

    def draw_line(self, c: int) -> list[Place]:
        """A path of routers from a sink on."""
        line = [self.rng.choice(list(self.pes))]
        self.taken[c].add(line[0])
        while len(line) < 6 and (ways := self.free(c, line[-1])) and self.chance(0.8):
            line.append(step(line[-1], self.rng.choice(ways)))
            self.taken[c].add(line[-1])
        return line

    def draw_tree(self, c: int, switched: bool, by_tasks: bool) -> None:
        leaves = [place for tree in self.trees for place in tree.ramps if place not in self.taken[c]]
        free = [place for place in self.pes if place not in self.taken[c]]
        if not free:
            return
        root = self.rng.choice(leaves if leaves and self.chance(0.6) else free)
        self.taken[c].add(root)
        parent: dict[Place, Direction] = {}
        outputs = {root: 0}
        tip = root
        for _ in range(self.rng.randint(0 if self.chance(0.1) else 1, 8)):
            tip = tip if self.chance(0.7) else self.rng.choice(list(outputs))
            if ways := self.free(c, tip):
                way = self.rng.choice(ways)
                outputs[tip] |= port(way)
                tip = step(tip, way)
                self.taken[c].add(tip)
                outputs[tip], parent[tip] = 0, way
        for place, out in outputs.items():
            if not out or self.chance(0.1 if place == root else 0.4):
                outputs[place] = out | RAMP
        tree = Tree(c, root, parent, {}, {}, {}, by_tasks, switched or self.chance(self.features.controls))
        for place, out in outputs.items():
            more = self.rng.randint(0, 3) if switched else 0
            tree.ways[place] = [out, *(self.subset(out) for _ in range(more))]
            self.rng.shuffle(tree.ways[place])
            tree.initial[place] = self.rng.randint(0, more)
        tree.position = dict(tree.initial)
        for place in tree.ramps:
            if self.chance(self.features.filters):
                tree.filters[place] = self.draw_filter()
        self.trees.append(tree)

    def subset(self, ways: int) -> int:
        bits = [1 << i for i in range(5) if ways >> i & 1]
        return sum(self.rng.sample(bits, self.rng.randint(1, len(bits))))

    def draw_filter(self) -> Filter:
        if self.chance(0.5) or not self.payloads:
            period = self.rng.randint(1, 4)
            return Filter(self.rng.randint(0, period), self.rng.randint(0, period), period)
        low, high = (0x4100, 0x41FF) if self.floats else (0x2000, 0xBFFF)
        return Filter(low=low, high=high)

    def deliver(self, tree: Tree, words: Sequence[Word]) -> dict[Place, list[Word]]:
        """What each PE gets of the wavelets ``words`` that the root sends."""
        got: dict[Place, list[Word]] = {place: [] for place in tree.ramps}
        for word in words:
            self.pass_on(tree, tree.root, word, got)
        return got

    def pass_on(self, tree: Tree, place: Place, word: Word, got: dict[Place, list[Word]]) -> None:
        if place in tree.closed:
            return
        ways = tree.ways[place][tree.position[place]]
        if ways & RAMP and self.lets_in(tree, place, word):
            got[place].append(word)
        onward = self.obey(tree, place, word) if word[1] else word
        if ways & RAMP and not word[1]:
            tree.counted[place] = tree.counted.get(place, 0) + 1
        for way in DIRECTIONS:
            if ways & port(way):
                self.pass_on(tree, step(place, way), onward, got)

    def lets_in(self, tree: Tree, place: Place, word: Word) -> bool:
        told = tree.filters.get(place)
        if told is None or word[1]:
            return True
        if told.period:
            return (told.start + tree.counted.get(place, 0)) % told.period < told.limit
        return told.low <= word[0] >> 16 <= told.high

    def obey(self, tree: Tree, place: Place, word: Word) -> Word:
        command, last, pop = word[0] >> 8 & 7, len(tree.ways[place]) - 1, self.pops[tree.color]
        if command == 1:
            ringed = 0 if self.rings[tree.color] else last
            tree.position[place] = tree.position[place] + 1 if tree.position[place] < last else ringed
        elif command == 2:
            tree.position[place] = tree.initial[place]
        elif command == 3:
            tree.closed.add(place)
        popped = pop == "always" or (pop == "on_advance" and command == 1)
        return (word[0] & 0xFF | word[0] >> 11 << 8, True) if popped else word

    # Instructions

    def emit(self, place: Place, told: Instruction, background: bool | None = None) -> None:
        """Append to the main task of a PE, perhaps in the background, with a `wait` before it where streams clash."""
        pe = self.pes[place]
        ends = [("in", told.source)] * (told.source >= 0) + [("out", told.target)] * (told.target >= 0)
        clash = [end for end in ends if end in pe.under_way and not self.may_mix(place, end, told)]
        if clash or len(pe.under_way) >= 7:
            pe.main.append(Instruction("wait"))
            pe.under_way.clear()
        if self.chance(0.2):
            pe.main.append(Instruction("compute", wavelets=self.rng.randint(0, 25)))
        behind = self.chance(self.features.background) if background is None else background
        if behind:
            told = replace(told, background=True)
            pe.under_way.update(dict.fromkeys(ends, told.kind))
        pe.main.append(told)
        if pe.under_way and self.chance(0.2):
            pe.main.append(Instruction("wait"))
            pe.under_way.clear()

    def may_mix(self, place: Place, end: tuple[str, int], told: Instruction) -> bool:
        """A `send` and a `recv_op_send` may feed one color together, where the order of wavelets does not matter."""
        kinds = {told.kind, self.pes[place].under_way[end]}
        tree = next((tree for tree in self.trees if tree.color == end[1] and tree.root == place), None)
        return end[0] == "out" and kinds == {"send", "recv_op_send"} and tree is not None and tree.plain

    def operand(self, kind: str, wavelets: int) -> Operand | None:
        if not self.payloads:
            return None
        stride = self.rng.randint(0, 2) if wavelets < 12 else 1
        base = STORED if kind in {"recv", "recv_op"} else SENT
        address = base + self.rng.randint(0, max(0, 31 - wavelets * stride))
        return Operand(address, stride, self.rng.choice(("add_float32", "max_float32")) if self.floats else "add_int32")

    def parts(self, total: int) -> list[int]:
        """``total`` in one part, two or three, none of them empty."""
        cuts = sorted({0, total, *(self.rng.randint(0, total) for _ in range(self.rng.choice((0, 0, 1, 2))))})
        return [after - before for before, after in pairwise(cuts)]

    def sends(self, color: int, data: int, reducing: bool) -> list[Instruction]:
        return [
            Instruction("send", wavelets=n, target=color, reducing=reducing, operand=self.operand("send", n))
            for n in self.parts(data)
        ]

    def payload(self, place: Place, told: Instruction) -> list[Word]:
        """The wavelets of a `send`."""
        if told.control >= 0:
            return [(told.control, True)]
        if told.operand is None:
            return [(0, False)] * told.wavelets
        addresses = [told.operand.address + k * told.operand.stride for k in range(told.wavelets)]
        return [(int(self.memory[(*place, address)]), False) for address in addresses]

    def control(self, c: int) -> Instruction:
        commands = [self.rng.choice(COMMANDS) for _ in range(self.rng.randint(0, 3))]
        if self.chance(0.03):
            commands.append("teardown")
        word = control(*commands, value=self.rng.randint(0, 255))
        return Instruction("send", wavelets=1, target=c, control=word)

    def receives(self, c: int, words: Sequence[Word], kind: str, target: int = -1) -> list[Instruction]:
        """Instructions that take all of ``words``, where a control wavelet ends the one that takes it."""
        told: list[Instruction] = []
        run = 0
        for word in [*words, None]:
            if word is not None and not word[1]:
                run += 1
                continue
            counts = self.parts(run)
            if word is not None:
                extra = self.rng.randint(1, 3)
                counts = [*counts[:-1], counts[-1] + extra] if counts and self.chance(0.5) else [*counts, extra]
            told += [self.receive(c, n, kind, target) for n in counts]
            run = 0
        return told

    def receive(self, c: int, n: int, kind: str, target: int) -> Instruction:
        if kind == "recv":
            return Instruction("recv", n, source=c, operand=self.operand("recv", n))
        if kind == "recv_op":
            return Instruction("recv_op", n, source=c, operand=self.operand("recv_op", n))
        return Instruction("recv_op_send", n, source=c, target=target, operand=self.operand("recv_op_send", n))

    # Operations

    def draw_operation(self) -> None:
        trees = [tree for tree in self.trees if not tree.by_tasks]
        if self.chance(self.features.host):
            for place in self.pes:
                self.pes[place].main.append(Instruction("host", wavelets=self.rng.randint(0, 20)))
        elif self.gathers and (not trees or self.chance(0.3)):
            self.gather(*self.gathers.pop())
        elif trees:
            self.stream(self.rng.choice(trees))

    def stream(self, tree: Tree) -> None:
        """The root sends; every PE receives, or one combines and sends on along a tree of its own."""
        size = self.rng.choice((1, 2, 3, 5, 8, 12, 20))
        reducing = self.chance(0.4)
        told = self.sends(tree.color, size, reducing)
        if tree.controls:
            for _ in range(self.rng.randint(0, 3)):
                told.insert(self.rng.randint(0, len(told)), self.control(tree.color))
        for one in told:
            self.emit(tree.root, one, background=True if tree.root in tree.ramps else None)
        words = [word for one in told for word in self.payload(tree.root, one)]
        self.arrive(tree, self.deliver(tree, words), {tree.root}, reducing)

    def arrive(self, tree: Tree, got: dict[Place, list[Word]], seen: set[Place], reducing: bool) -> None:
        onward = self.next_tree(tree, seen) if reducing else None
        for place, words in got.items():
            if onward is not None and place == onward.root:
                for told in self.receives(tree.color, words, "recv_op_send", onward.color):
                    self.emit(place, told)
            else:
                for told in self.receives(tree.color, words, self.kind(reducing)):
                    self.emit(place, told)
        if onward is not None:
            sent = [word for word in got[onward.root] if not word[1]]
            self.arrive(onward, self.deliver(onward, sent), seen | {onward.root}, reducing)

    def kind(self, reducing: bool) -> Literal["recv", "recv_op"]:
        return "recv_op" if reducing or self.chance(0.1) else "recv"

    def next_tree(self, tree: Tree, seen: set[Place]) -> Tree | None:
        trees = [
            other
            for other in self.trees
            if other.root in tree.ramps and other.root not in seen and other.color != tree.color and not other.by_tasks
            if all(told.period for told in other.filters.values())  # it does not depend on what is combined
        ]
        return self.rng.choice(trees) if trees else None

    def gather(self, c: int, line: list[Place]) -> None:
        """The PEs of a line send one after the other, the one next to the sink first, then make way by a switch."""
        rounds = self.rng.choice((1, 1, 2)) if self.pops[c] != "always" else 1
        for _ in range(rounds):
            for i, place in enumerate(line[1:], 1):
                told = self.sends(c, self.rng.randint(1, 10), reducing=False)
                command = "advance" if i < len(line) - 1 else "reset"
                told.append(Instruction("send", 1, target=c, control=control(command, value=i)))
                for one in told:
                    self.emit(place, one)
                words = [word for one in told for word in self.payload(place, one)]
                for one in self.receives(c, words, self.kind(reducing=False)):
                    self.emit(line[0], one)

    # Tasks

    def draw_tasks(self) -> None:
        """Streams whose wavelets start tasks, and tasks that the end of a background instruction activates."""
        for tree in self.trees:
            if tree.by_tasks and tree.root not in tree.ramps:
                told = self.sends(tree.color, self.rng.randint(1, 6), reducing=False)
                if tree.controls:
                    told.insert(self.rng.randint(0, len(told)), self.control(tree.color))
                for one in told:
                    self.emit(tree.root, one)
                words = [word for one in told for word in self.payload(tree.root, one)]
                for place, got in self.deliver(tree, words).items():
                    self.bind(place, tree.color, got)
        for pe in self.pes.values():
            if self.chance(self.features.tasks / 2):
                if len(pe.under_way) > 4:
                    pe.main.append(Instruction("wait"))
                    pe.under_way.clear()
                for _ in range(self.rng.randint(1, 3)):
                    self.activate(pe, pe.main, 2)

    def bind(self, place: Place, c: int, got: list[Word]) -> None:
        pe = self.pes[place]
        if any(word[1] for word in got):
            pe.on_control[c] = self.new_task(pe)
        data = sum(not word[1] for word in got)
        if not data:
            return
        pe.on_data[c] = self.new_task(pe)
        packet = self.rng.randint(1, 3)
        if len(got) == data and data % (packet + 1) == 0 and self.chance(0.5):
            told = Instruction("recv", packet, source=c, operand=self.operand("recv", packet))
            pe.tasks[pe.on_data[c] - 1].append(told)
        elif (onward := self.unused(place)) is not None and self.chance(0.7):
            told = Instruction("send", 1, target=onward.color, operand=self.operand("send", 1))
            pe.tasks[pe.on_data[c] - 1].append(told)
            words = self.payload(place, told) * data
            for sink, taken in self.deliver(onward, words).items():
                for one in self.receives(onward.color, taken, "recv"):
                    self.emit(sink, one, background=False)

    def unused(self, place: Place) -> Tree | None:
        """A tree that ``place`` may feed from a task, once."""
        for tree in self.trees:
            feeds = any(told.target == tree.color for told in self.pes[place].main)
            if tree.root == place and not (tree.by_tasks or feeds or place in tree.ramps or tree.controls):
                tree.by_tasks = True
                return tree
        return None

    def new_task(self, pe: Pe) -> int:
        body = [Instruction("compute", self.rng.randint(0, 12)) for _ in range(self.rng.randint(0, 2))]
        pe.tasks.append(body)
        number = len(pe.tasks)
        if self.chance(0.2):
            self.activate(pe, body, 1)
        return number

    def activate(self, pe: Pe, body: list[Instruction], deep: int) -> None:
        """A computation in the background at the end of ``body`` that activates a new task, or a known one of late."""
        known = len(pe.tasks)
        pe.tasks.append([Instruction("compute", self.rng.randint(0, 9)) for _ in range(self.rng.randint(0, 2))])
        number = known + 1
        body.append(Instruction("compute", self.rng.randint(1, 30), background=True, activates=number))
        if self.chance(0.3):
            body.append(Instruction("wait"))
        if deep and self.chance(0.3):
            self.activate(pe, pe.tasks[number - 1], deep - 1)

    # The program

    def spoil(self) -> None:
        """Change one thing so that the counts do not match any more, or two wavelets meet."""
        busy = [place for place, pe in self.pes.items() if pe.main]
        if not busy:
            return
        place = self.rng.choice(busy)
        main = self.pes[place].main
        i = self.rng.randint(0, len(main) - 1)
        how = self.rng.randint(0, 3)
        inner = [(tree, place) for tree in self.trees for place in tree.parent]
        if how == 0 and i > 0:
            main[i - 1], main[i] = main[i], main[i - 1]
        elif how == 1 and main[i].kind != "host":
            del main[i]
        elif how == 2 and inner:
            tree, place = self.rng.choice(inner)
            self.clash = (tree.color, place)
            told = Instruction("send", 1, target=tree.color, operand=self.operand("send", 1))
            self.pes[place].main.insert(self.rng.randint(0, len(self.pes[place].main)), told)
        elif main[i].kind not in {"host", "wait"} and main[i].control < 0:
            main[i] = replace(
                main[i], wavelets=main[i].wavelets + self.rng.choice((1, -1 if main[i].wavelets > 1 else 2))
            )

    def case(self) -> Case:
        for _ in range(self.rng.randint(1, 7)):
            self.draw_operation()
        if self.chance(self.features.tasks) or any(tree.by_tasks for tree in self.trees):
            self.draw_tasks()
        for pe in self.pes.values():
            if pe.under_way and self.chance(0.5):
                pe.main.append(Instruction("wait"))
        if self.chance(self.features.spoiled):
            self.spoil()
        start = None
        if self.chance(0.6):
            late = [self.rng.choice((0, 0, 3, self.rng.randint(0, 80))) for _ in self.pes]
            start = np.array(late, dtype=np.int64).reshape(self.rows, self.cols)
        return Case(without_meeting_seams(self.program()), start, self.rng.randint(0, 5))

    def colors(self) -> list[Color]:
        colors = []
        for c in range(len(self.taken)):
            trees = [tree for tree in self.trees if tree.color == c]
            most = max([len(ways) for tree in trees for ways in tree.ways.values()], default=1)
            shape = (max(most, 2), self.rows, self.cols)
            color = Color(
                np.zeros(shape, dtype=np.uint8),
                np.zeros(shape, dtype=np.uint8),
                np.zeros(shape[1:], dtype=np.uint8),
                np.zeros(shape[1:], dtype=np.uint8),
                self.rings[c],
                self.pops[c],
                self.rng.randint(0, 7),
            )
            for tree in trees:
                for place, ways in tree.ways.items():
                    way = tree.parent.get(place)
                    color.inputs[(slice(len(ways)), *place)] = RAMP if way is None else port(way.opposite)
                    color.outputs[(slice(len(ways)), *place)] = ways
                    color.initial[place], color.last[place] = tree.initial[place], len(ways) - 1
                color.filters |= tree.filters
            if c in self.lines:
                draw_switched_line(color, self.lines[c])
            if self.clash is not None and self.clash[0] == c:
                color.inputs[(slice(None), *self.clash[1])] |= RAMP
            colors.append(color)
        return colors

    def program(self) -> FabricProgram:
        code = Code()
        starts = self.scripts(code)
        sets: list[list[int]] = [[code.end()]]
        task_set = np.zeros((self.rows, self.cols), dtype=np.int64)
        program = FabricProgram(self.spec, self.rows, self.cols, self.colors(), code, starts)
        for place, pe in self.pes.items():
            if pe.tasks:
                task_set[place] = len(sets)
                sets.append([int(starts[place])])
                for task in pe.tasks:
                    sets[-1].append(code.block(task))
                    code.end()
                for on, bound in ((program.on_data, pe.on_data), (program.on_control, pe.on_control)):
                    for c, number in bound.items():
                        on[len(sets) - 1, c] = number
                        if self.payloads and self.chance(0.7):
                            program.arguments[len(sets) - 1, c] = ARGUMENTS + c
        if len(sets) > 1:
            program.tasks, program.task_set = sets, task_set
        program.memory = self.memory if self.payloads else None
        return program

    def scripts(self, code: Code) -> np.ndarray:
        """Every PE's task 0: scripts by PE, by row or by column, in one block or two."""
        starts = np.full((self.rows, self.cols), -1, dtype=np.int64)
        axis = self.rng.choice((Code.EVERYWHERE, Code.ALONG_X, Code.ALONG_Y))
        lines: dict[int, list[Place]] = {}
        for row, col in self.pes:
            lines.setdefault({Code.ALONG_X: row, Code.ALONG_Y: col}.get(axis, row * self.cols + col), []).append(
                (row, col)
            )
        for line in lines.values():
            busy = [i for i, place in enumerate(line) if self.pes[place].main or self.pes[place].tasks]
            if not busy:
                continue
            used = line[busy[0] : busy[-1] + 1]
            cuts = {place: self.rng.randint(0, len(self.pes[place].main)) for place in used}
            origin = 0 if axis == Code.EVERYWHERE else busy[0]
            first = code.blocks([self.pes[place].main[: cuts[place]] for place in used], axis, origin)
            code.blocks([self.pes[place].main[cuts[place] :] for place in used], axis, origin)
            code.end()
            for place in used:
                starts[place] = first
        return starts


def draw_switched_line(color: Color, line: list[Place]) -> None:
    """Ports of a gathering: the sink, then PEs that send what is theirs, then what comes from behind."""
    ways = [next(way for way in DIRECTIONS if step(there, way) == here) for here, there in pairwise(line)]
    for i, place in enumerate(line):
        behind = port(ways[i].opposite) if i < len(ways) else 0
        if i == 0:
            color.inputs[(0, *place)], color.outputs[(0, *place)] = behind, RAMP
            continue
        color.inputs[(0, *place)], color.inputs[(1, *place)] = RAMP, behind
        color.outputs[(slice(2), *place)] = port(ways[i - 1])
        color.last[place] = 1 if behind else 0


def without_meeting_seams(program: FabricProgram) -> FabricProgram:
    """The program on a wafer without seams, where a color comes to a PE over one and from another side as well."""
    ways = {name: np.zeros((program.rows, program.cols), dtype=bool) for name in "NSWE"}
    for row in program.seams[0]:
        ways["N"][row] = ways["S"][row - 1] = True
    for column in program.seams[1]:
        ways["W"][:, column] = ways["E"][:, column - 1] = True
    for color in program.colors:
        taken = np.bitwise_or.reduce(color.inputs, axis=0)
        for name, beside in ways.items():
            others = sum(PORTS[other] for other in ways if other != name)
            if (beside & (taken & PORTS[name] != 0) & (taken & others != 0)).any():
                return replace(program, spec=replace(program.spec, row_seams=(), column_seams=()))
    return program


def draw_spec(rng: random.Random) -> WaferSpec:
    """A wafer whose constants are small and vary."""
    wafer = load_wafer(rng.choice(("wse2", "wse3")))
    rows, columns = (tuple(sorted(rng.sample(range(1, 6), rng.randint(0, 2)))) for _ in range(2))
    wafer = replace(wafer, seam_cycles=rng.choice((0, 0, 2, 9)), row_seams=rows, column_seams=columns)
    if rng.randint(0, 3) == 0:
        return replace(wafer, task_cycles=rng.randint(1, 8), output_queue_words=(2, 6, 2, 1))
    return replace(
        wafer,
        hop_cycles=rng.randint(1, 3),
        link_interval=Fraction(rng.choice(("1", "9/8", "3/2", "2"))),
        ramp_cycles=rng.randint(1, 3),
        combine_cycles=rng.randint(0, 8),
        receive_cycles=rng.randint(0, 2),
        stream_setup=rng.randint(0, 3),
        task_cycles=rng.randint(1, 8),
        rates={**wafer.rates, "add_float32": Fraction(rng.choice(("1", "2", "1/2", "1/3", "4/5", "2/5")))},
        input_queue_words=tuple(rng.randint(1, 8) for _ in range(4)),
        output_queue_words=tuple(rng.randint(1, 8) for _ in range(4)),
    )


def random_case(seed: int, features: Features = Features(), most: tuple[int, int] = (5, 6)) -> Case:
    """The case of a plain seed, for long runs outside hypothesis."""
    return Draft(random.Random(seed), features, most).case()


@st.composite
def cases(draw: st.DrawFn, features: Features = Features(), most: tuple[int, int] = (5, 6)) -> Case:
    """A program, when its PEs start, and the seed of its run."""
    return Draft(draw(st.randoms(use_true_random=False)), features, most).case()
