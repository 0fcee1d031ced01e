"""Draws the pictures of docs/benchmarks.md as SVG, with nothing but text: bars with whiskers on a logarithmic
scale, and lines over the course of a run. Knows nothing of what it draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"
INK, FAINT, GRID = "#1f2328", "#59636e", "#d1d9e0"
COLOURS = {"ours": "#bc4c00", "synced": "#0969da", "unsynced": "#8c959f"}
BAR, GAP, LEFT, RIGHT, TOP = 18, 8, 290, 110, 78


class Bar(NamedTuple):
    """One bar."""

    label: str
    value: float
    low: float
    high: float
    colour: str
    """A key of `COLOURS`."""


class Line(NamedTuple):
    """One panel of a run: a line over slices."""

    label: str
    values: Sequence[float]
    unit: str


def bars(title: str, legend: Sequence[tuple[str, str]], given: Sequence[Bar], width: int = 900) -> str:
    """A bar chart, the largest first, on a logarithmic scale.

    Args:
        title: stands above it.
        legend: pairs of a colour's name and what it means.
        given: the bars, values above zero.
        width: pixels.
    """
    ordered = sorted(given, key=lambda bar: bar.value, reverse=True)
    low = 10 ** math.floor(math.log10(min(bar.low for bar in ordered)))
    high = 10 ** math.ceil(math.log10(max(bar.high for bar in ordered)))
    room = width - LEFT - RIGHT

    def x(value: float) -> float:
        return LEFT + room * math.log10(max(value, low) / low) / math.log10(high / low)

    bottom = TOP + len(ordered) * (BAR + GAP)
    parts = [_text(16, 28, title, size=17, weight=600)]
    at = 16.0
    for colour, meaning in legend:
        parts.append(f"<rect x='{at:.0f}' y='42' width='12' height='12' rx='2' fill='{COLOURS[colour]}'/>")
        parts.append(_text(at + 18, 53, meaning, size=12, colour=FAINT))
        at += 40 + 6.6 * len(meaning)
    tick = float(low)
    while tick <= high:
        parts.append(f"<path d='M{x(tick):.1f} {TOP - 6}V{bottom}' stroke='{GRID}'/>")
        parts.append(_text(x(tick), bottom + 16, f"{tick:,.0f}", size=11, colour=FAINT, anchor="middle"))
        tick *= 10
    for number, bar in enumerate(ordered):
        y = TOP + number * (BAR + GAP)
        middle = y + BAR / 2
        weight = 700 if bar.colour == "ours" else 400
        parts.append(_text(LEFT - 10, middle + 4, bar.label, size=13, anchor="end", weight=weight))
        parts.append(
            f"<rect x='{LEFT}' y='{y}' width='{max(1.0, x(bar.value) - LEFT):.1f}' height='{BAR}' rx='2' "
            f"fill='{COLOURS[bar.colour]}'/>"
        )
        parts.append(
            f"<path d='M{x(bar.low):.1f} {middle}H{x(bar.high):.1f}' stroke='{INK}' stroke-width='1.5'/>"
        )
        end = max(x(bar.high), x(bar.value)) + 8
        parts.append(_text(end, middle + 4, f"{bar.value:,.0f}", size=12, weight=weight))
    return _document(width, bottom + 30, parts)


def lines(title: str, axis: str, given: Sequence[Line], width: int = 900) -> str:
    """Panels one below the other that share their horizontal axis, each from zero.

    Args:
        title: stands above.
        axis: what is counted from left to right.
        given: the panels; all have as many values.
        width: pixels.
    """
    height, gap, left, right, top = 84, 40, 84, 24, 66
    room = width - left - right
    parts = [_text(16, 28, title, size=17, weight=600)]
    for number, line in enumerate(given):
        y = top + number * (height + gap)
        peak = max(line.values) or 1.0
        parts.append(
            f"<path d='M{left} {y}H{width - right}M{left} {y + height}H{width - right}' stroke='{GRID}'/>"
        )
        parts.append(_text(left, y - 8, line.label, size=13, weight=600))
        parts.append(_text(left - 8, y + 5, f"{peak:,.4g} {line.unit}", size=11, colour=FAINT, anchor="end"))
        parts.append(_text(left - 8, y + height + 4, "0", size=11, colour=FAINT, anchor="end"))
        steps = max(1, len(line.values) - 1)
        points = " ".join(
            f"{left + room * index / steps:.1f},{y + height - height * value / peak:.1f}"
            for index, value in enumerate(line.values)
        )
        parts.append(f"<polyline points='{points}' fill='none' stroke='{COLOURS['ours']}' stroke-width='2'/>")
    bottom = top + len(given) * (height + gap)
    parts.append(_text(width - right, bottom - 14, axis, size=12, colour=FAINT, anchor="end"))
    return _document(width, bottom, parts)


def _text(
    x: float, y: float, text: str, *, size: int, colour: str = INK, anchor: str = "start", weight: int = 400
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' fill='{colour}' text-anchor='{anchor}' "
        f"font-weight='{weight}'>{escape(text)}</text>"
    )


def _document(width: int, height: float, parts: Sequence[str]) -> str:
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height:.0f}' {FONT}>"
    return "\n".join([head, "<rect width='100%' height='100%' fill='#ffffff'/>", *parts, "</svg>", ""])
