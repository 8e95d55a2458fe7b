"""A rectangle of PEs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """``width`` columns and ``height`` rows of PEs from the top-left corner (``x``, ``y``)."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """First column beyond."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row beyond."""
        return self.y + self.height

    @property
    def pes(self) -> int:
        return self.width * self.height

    def contains(self, pe: tuple[int, int]) -> bool:
        """Whether the PE (x, y) lies inside."""
        return self.x <= pe[0] < self.right and self.y <= pe[1] < self.bottom

    def overlaps(self, other: "Region") -> bool:
        """Whether the two share a PE."""
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom

    def __str__(self) -> str:
        return f"{self.width}×{self.height}@({self.x},{self.y})"
