"""Figures as an SVG, written by hand: how much of what its target allows each of them takes."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from tests.bench.figures import Figure
from tests.bench.report import number, target_of

WIDTH = 1000
LEFT = 430
RIGHT = 190
ROW = 26
TOP = 64
MOST = 2.0
"""Bars end at twice what is allowed."""

_GOOD, _BAD, _INK, _FAINT = "#2a7f62", "#c0392b", "#222222", "#bbbbbb"


def svg(figures: Sequence[Figure], title: str) -> str:
    """A bar for each figure that has a target. The dashed line is the target; whiskers go from run to run."""
    shown = [figure for figure in figures if figure.target is not None]
    height = TOP + ROW * len(shown) + 30
    allowed = _x(1.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{_INK}">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="16" y="24" font-size="17" font-weight="bold">{escape(title)}</text>',
        f'<text x="{allowed:.1f}" y="{TOP - 14}" text-anchor="middle">target</text>',
    ]
    for row, figure in enumerate(shown):
        parts += _row(figure, TOP + ROW * row)
    parts += [
        f'<line x1="{allowed:.1f}" y1="{TOP - 8}" x2="{allowed:.1f}" y2="{height - 24}" stroke="{_INK}" '
        f'stroke-dasharray="4 3"/>',
        f'<text x="16" y="{height - 8}" fill="#666666">Shorter is better; bars stop at twice what is allowed.</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(used: float) -> float:
    return LEFT + min(used, MOST) / MOST * (WIDTH - LEFT - RIGHT)


def _row(figure: Figure, y: int) -> list[str]:
    if figure.target is None:
        raise AssertionError("only figures with targets are shown")
    ends = sorted(_x(figure.target.used(value)) for value in figure.values)
    end = _x(figure.target.used(figure.median))
    middle = y + ROW / 2 - 4
    value = f"{number(figure.median)} {figure.unit}  {target_of(figure)}"
    return [
        f'<text x="{LEFT - 10}" y="{middle + 4:.1f}" text-anchor="end">'
        f"{escape(figure.scenario)}: {escape(figure.name)}</text>",
        f'<rect x="{LEFT}" y="{y}" width="{max(end - LEFT, 1):.1f}" height="{ROW - 8}" '
        f'fill="{_GOOD if figure.met else _BAD}"/>',
        f'<line x1="{ends[0]:.1f}" y1="{middle:.1f}" x2="{ends[-1]:.1f}" y2="{middle:.1f}" stroke="{_INK}"/>',
        f'<line x1="{LEFT}" y1="{y + ROW - 4}" x2="{WIDTH - RIGHT}" y2="{y + ROW - 4}" stroke="{_FAINT}" '
        f'stroke-width="0.5"/>',
        f'<text x="{WIDTH - RIGHT + 10}" y="{middle + 4:.1f}">{escape(value)}</text>',
    ]
