"""A plot as SVG: one curve over time, a straight line through its second half, a bound, axes with units, a caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template
from typing import Final

_WIDTH, _HEIGHT = 860, 470
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 70, 124
_TICKS: Final = 6
_SMALLEST_STEP: Final = 0.01
_LINE: Final = 18
_ABOVE: Final = 1.1
"""Room above the highest of curve and bound, as a factor."""

_PAGE: Final = Template("""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" font-family="sans-serif" font-size="13">
  <title>$title</title>
  <rect width="$width" height="$height" fill="#ffffff"/>
  <text x="$left" y="28" font-size="17" font-weight="bold" fill="#1a1a1a">$title</text>
  <text x="$left" y="50" fill="#555555">$subtitle</text>
  <rect x="$left" y="$top" width="$warm" height="$tall" fill="#f4f6f8"/>
  <text x="$in_warm" y="$above" fill="#767676">warming up</text>
$grid
  <line x1="$left" y1="$bound" x2="$right" y2="$bound" stroke="#9a6700" stroke-width="1.5"/>
  <text x="$right" y="$over_bound" text-anchor="end" fill="#9a6700">$bound_label</text>
  <polyline points="$curve" fill="none" stroke="#1f6feb" stroke-width="1.5"/>
  <line x1="$x1" y1="$y1" x2="$x2" y2="$y2" stroke="#d1242f" stroke-width="2" stroke-dasharray="6 4"/>
  <line x1="$left" y1="$bottom" x2="$right" y2="$bottom" stroke="#1a1a1a"/>
  <line x1="$left" y1="$top" x2="$left" y2="$bottom" stroke="#1a1a1a"/>
  <text x="$middle" y="$below" text-anchor="middle" fill="#1a1a1a">$x_label</text>
  <text x="20" y="$center" text-anchor="middle" fill="#1a1a1a" transform="rotate(-90 20 $center)">$y_label</text>
$caption
</svg>
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What is drawn.

    Attributes:
        x, y: the curve; `x` rises from about 0, and its first half is warming up.
        line: slope and intercept of the line through the second half.
        bound: the value that `y` shall stay below.
        caption: lines below the plot.
    """

    title: str
    subtitle: str
    caption: Sequence[str]
    x_label: str
    y_label: str
    x: Sequence[float]
    y: Sequence[float]
    line: tuple[float, float]
    bound: float
    bound_label: str

    def to_svg(self) -> str:
        """Return the picture; the vertical axis begins at 0, so that growth is not drawn larger than it is."""
        scale = _Scale(x_most=max(self.x), y_most=_ABOVE * max(*self.y, self.bound))
        begin, end = self.x[len(self.x) // 2], self.x[-1]
        slope, intercept = self.line
        x1, y1 = scale.point(begin, intercept + slope * begin)
        x2, y2 = scale.point(end, intercept + slope * end)
        _, bound = scale.point(0, self.bound)
        return _PAGE.substitute(
            width=_WIDTH, height=_HEIGHT, left=_LEFT, right=_WIDTH - _RIGHT, top=_TOP, bottom=_HEIGHT - _BOTTOM,
            middle=(_LEFT + _WIDTH - _RIGHT) / 2, center=(_TOP + _HEIGHT - _BOTTOM) / 2, below=_HEIGHT - _BOTTOM + 40,
            warm=f"{x1 - _LEFT:.1f}", tall=_HEIGHT - _TOP - _BOTTOM, in_warm=_LEFT + 10, above=_HEIGHT - _BOTTOM - 12,
            title=escape(self.title), subtitle=escape(self.subtitle),
            x_label=escape(self.x_label), y_label=escape(self.y_label),
            bound=f"{bound:.1f}", over_bound=f"{bound - 6:.1f}", bound_label=escape(self.bound_label),
            grid="\n".join([*_x_ticks(scale), *_y_ticks(scale)]),
            curve=" ".join(f"{a:.1f},{b:.1f}" for a, b in map(scale.point, self.x, self.y)),
            x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}",
            caption="\n".join(_caption(self.caption)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    x_most: float
    y_most: float

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Return where a value is drawn."""
        return (
            _LEFT + x / self.x_most * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - y / self.y_most * (_HEIGHT - _TOP - _BOTTOM),
        )


def _ticks(most: float) -> list[float]:
    """Return the multiples of a round step up to `most`: about six of them."""
    step = _step(most)
    return [step * number for number in range(int(most / step) + 1)]


def _step(most: float) -> float:
    size = _SMALLEST_STEP
    while True:
        for factor in (1, 2, 5):
            if most / (size * factor) <= _TICKS:
                return size * factor
        size *= 10


def _x_ticks(scale: _Scale) -> list[str]:
    return [
        f'  <text x="{scale.point(value, 0)[0]:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle" '
        f'fill="#555555">{value:g}</text>'
        for value in _ticks(scale.x_most)
    ]


def _y_ticks(scale: _Scale) -> list[str]:
    lines = []
    for value in _ticks(scale.y_most):
        _, y = scale.point(0, value)
        lines += [
            f'  <line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#e4e4e4"/>',
            f'  <text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#555555">{value:g}</text>',
        ]
    return lines


def _caption(lines: Sequence[str]) -> list[str]:
    first = _HEIGHT - _BOTTOM + 70
    return [
        f'  <text x="{_LEFT}" y="{first + number * _LINE}" fill="#555555">{escape(line)}</text>'
        for number, line in enumerate(lines)
    ]
