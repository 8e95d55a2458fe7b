"""The four ways out of a PE. Arrays of links are ``[E W N S, rows, columns]``; y grows to the south."""

from enum import IntEnum


class Direction(IntEnum):
    """Index of a direction in arrays of links."""

    EAST = 0
    WEST = 1
    NORTH = 2
    SOUTH = 3

    @property
    def step(self) -> tuple[int, int]:
        """(dx, dy)"""
        return ((1, 0), (-1, 0), (0, -1), (0, 1))[self]

    @property
    def opposite(self) -> "Direction":
        return Direction(self ^ 1)


DIRECTIONS = tuple(Direction)
