"""Draws stacks as a flame graph: width is time, callers below, what they called above. Point at a box to read
its whole name. After Brendan Gregg's flame graphs, https://www.brendangregg.com/flamegraphs.html."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html import escape
from typing import TypeAlias

Stacks: TypeAlias = Counter[tuple[str, ...]]
"""How often each stack was seen, the outermost frame first."""

WIDTH, ROW, TOP, MARGIN = 1200, 17, 44, 8
WIDTH_MIN = 0.6
"""Pixels; what is narrower is left out."""
CHARACTER = 6.3
"""Pixels a letter takes, about."""
HUES = {"beaver_actors": 24, "trio": 205, "trio_websocket": 265, "wsproto": 285, "benchmarks": 120}
"""Of packages, in degrees; the standard library and what else there is are grey."""


@dataclass
class _Box:
    """A frame below which all stacks are the same."""

    samples: int = 0
    above: dict[str, _Box] = field(default_factory=dict)


def flame_graph(title: str, stacks: Stacks) -> str:
    """The SVG."""
    root = _Box()
    deepest = 0
    for frames, count in stacks.items():
        deepest = max(deepest, len(frames))
        box = root
        box.samples += count
        for frame in frames:
            box = box.above.setdefault(frame, _Box())
            box.samples += count
    height = TOP + (deepest + 1) * ROW + MARGIN
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' font-family='monospace' "
        "font-size='10.5'>",
        "<rect width='100%' height='100%' fill='#ffffff'/>",
        f"<text x='{MARGIN}' y='26' font-size='16' font-family='sans-serif'>{escape(title)}</text>",
    ]
    scale = (WIDTH - 2 * MARGIN) / max(1, root.samples)
    _draw(parts, root, MARGIN, height - MARGIN - ROW, scale, root.samples)
    return "\n".join([*parts, "</svg>", ""])


def _draw(parts: list[str], box: _Box, left: float, y: float, scale: float, total: int) -> None:
    """Draw what is above a box, from the left in the order of names, so that two graphs can be compared."""
    for name, above in sorted(box.above.items()):
        width = above.samples * scale
        if width >= WIDTH_MIN:
            share = above.samples / total
            letters = int((width - 4) / CHARACTER)
            label = name if len(name) <= letters else name[: max(0, letters - 1)] + "…"
            parts.append(
                f"<g><title>{escape(name)}: {share:.1%}</title>"
                f"<rect x='{left:.1f}' y='{y}' width='{max(0.3, width - 0.4):.1f}' height='{ROW - 1}' "
                f"fill='{_colour(name)}'/>"
                + (f"<text x='{left + 2:.1f}' y='{y + 12}'>{escape(label)}</text>" if letters > 2 else "")
                + "</g>"
            )
            _draw(parts, above, left, y - ROW, scale, total)
        left += width


def _colour(name: str) -> str:
    package = name.rpartition(" (")[2].partition("/")[0]
    if package not in HUES:
        return "hsl(210 8% 84%)"
    return f"hsl({HUES[package]} 75% {74 + sum(name.encode()) % 10}%)"
