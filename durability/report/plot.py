"""A line that rises or falls, for a page: the points, and the path that an SVG draws of them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Plot:
    """How one number changes with another, neither of them below 0; the points are in order of x.

    Each holds until the next: between two of them nothing is known to have changed.
    """

    name: str
    x_label: str
    y_label: str
    points: Sequence[tuple[float, float]]

    @property
    def x_max(self) -> float:
        """The right end of the plot."""
        return max((x for x, _ in self.points), default=0)

    @property
    def y_max(self) -> float:
        """The upper end of the plot."""
        return max((y for _, y in self.points), default=0)

    def path(self, width: float, height: float) -> str:
        """Return the line in a box of this size, the origin at its lower left, as SVG's `d`."""
        x_scale, y_scale = width / (self.x_max or 1), height / (self.y_max or 1)
        steps = [f"{x * x_scale:.1f} {height - y * y_scale:.1f}" for x, y in self.points]
        if not steps:
            return ""
        lines = [f"H{step.partition(' ')[0]} V{step.partition(' ')[2]}" for step in steps[1:]]
        return " ".join([f"M{steps[0]}", *lines])
