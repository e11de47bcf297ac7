"""The id space as a ring: on the terminal, and as a picture."""

# ruff: noqa: PLC0415 - the picture needs a library that the terminal does not

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shoal.core import InfoHash
    from shoal.dht.crawl import NodeAnswered

WIDTH: Final = 64  # characters
HEIGHT: Final = 31  # lines; characters are about twice as high as wide
DOTS: Final = "•●█"  # a node, some, many
_STEPS: Final = (1, 3, 10)  # nodes per character from which each dot is drawn
_RIM: Final = "·"
RIM_STEPS: Final = 360
_ID_SPACE: Final = 2**160


def angle(node_id: InfoHash) -> float:
    """Return where *node_id* lies on the ring: radians clockwise from the top."""
    return 2 * math.pi * int.from_bytes(node_id) / _ID_SPACE


def draw(node_ids: Iterable[InfoHash], label: str) -> str:
    """Return the ring as lines of text, id 0 at the top, growing clockwise."""
    counts = {_cell(2 * math.pi * step / RIM_STEPS): 0 for step in range(RIM_STEPS)}
    for node_id in node_ids:
        cell = _cell(angle(node_id))
        counts[cell] = counts.get(cell, 0) + 1
    lines = []
    for y in range(HEIGHT):
        line = [_dot(counts.get((x, y))) for x in range(WIDTH)]
        if y == HEIGHT // 2:
            start = (WIDTH - len(label)) // 2
            line[start : start + len(label)] = label
        lines.append("".join(line).rstrip())
    return "\n".join(lines)


def plot(nodes: Sequence[NodeAnswered], path: str, title: str) -> None:
    """Write the ring as a picture: a dot per node, the farther outside the later it answered.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
        OSError: *path* cannot be written.
        ValueError: the ending of *path* names no kind of picture.
    """
    from matplotlib.figure import Figure
    from matplotlib.projections.polar import PolarAxes

    figure = Figure(figsize=(8, 8))
    axes = figure.add_subplot(projection="polar")
    assert isinstance(axes, PolarAxes), "asked for"
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    for agent in sorted({node.agent for node in nodes}):
        chosen = [node for node in nodes if node.agent == agent]
        axes.scatter(
            [angle(node.node_id) for node in chosen],
            [1000 * node.rtt for node in chosen],
            s=12,
            alpha=0.7,
            label=f"{agent or 'unnamed'}: {len(chosen)}",
        )
    axes.set_xticks([turn * math.pi / 8 for turn in range(16)])
    axes.set_xticklabels([f"{digit:x}…" for digit in range(16)])
    slowest = max(1000 * node.rtt for node in nodes)
    axes.set_ylim(0, 1.05 * slowest)
    axes.set_rorigin(-1.5 * slowest)  # an empty middle: ids are a ring, not a disc
    axes.set_rlabel_position(11.25)
    axes.set_title(f"{title}\nby first digit of the id, and answer time in ms outwards")
    axes.legend(loc="upper right", bbox_to_anchor=(1.1, 1.1), title="agent")
    figure.savefig(path, dpi=150, bbox_inches="tight")


def _cell(turn: float) -> tuple[int, int]:
    """Return column and line of a place on the ring."""
    center_x, center_y = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
    return (
        round(center_x + center_x * math.sin(turn)),
        round(center_y - center_y * math.cos(turn)),
    )


def _dot(count: int | None) -> str:
    """Return what is drawn for so many nodes; None is off the ring."""
    if count is None:
        return " "
    dot = _RIM
    for step, character in zip(_STEPS, DOTS, strict=True):
        if count >= step:
            dot = character
    return dot
