"""A plot as SVG: one curve over time, a straight line through its second half, axes with units."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template
from typing import Final

_WIDTH, _HEIGHT = 860, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 64, 56
_TICKS: Final = 6

_PAGE: Final = Template("""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" font-family="sans-serif" font-size="13">
  <title>$title</title>
  <rect width="$width" height="$height" fill="#ffffff"/>
  <text x="$left" y="26" font-size="17" font-weight="bold" fill="#1a1a1a">$title</text>
  <text x="$left" y="46" fill="#555555">$subtitle</text>
$grid
  <polyline points="$curve" fill="none" stroke="#1f6feb" stroke-width="1.5"/>
  <line x1="$x1" y1="$y1" x2="$x2" y2="$y2" stroke="#d1242f" stroke-width="2" stroke-dasharray="6 4"/>
  <line x1="$left" y1="$bottom" x2="$right" y2="$bottom" stroke="#1a1a1a"/>
  <line x1="$left" y1="$top" x2="$left" y2="$bottom" stroke="#1a1a1a"/>
  <text x="$middle" y="$below" text-anchor="middle" fill="#1a1a1a">$x_label</text>
  <text x="18" y="$center" text-anchor="middle" fill="#1a1a1a" transform="rotate(-90 18 $center)">$y_label</text>
</svg>
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What is drawn; `line` is slope and intercept of the line, which begins in the middle."""

    title: str
    subtitle: str
    x_label: str
    y_label: str
    x: Sequence[float]
    y: Sequence[float]
    line: tuple[float, float]

    def to_svg(self) -> str:
        """Return the picture; the vertical axis begins at 0, so that growth is not drawn larger than it is."""
        x_step, y_step = _step(max(self.x)), _step(max(self.y))
        x_most, y_most = x_step * -(-max(self.x) // x_step), y_step * -(-max(self.y) // y_step)
        scale = _Scale(x_most=x_most, y_most=y_most)
        begin, end = self.x[len(self.x) // 2], self.x[-1]
        slope, intercept = self.line
        x1, y1 = scale.point(begin, intercept + slope * begin)
        x2, y2 = scale.point(end, intercept + slope * end)
        return _PAGE.substitute(
            width=_WIDTH, height=_HEIGHT, left=_LEFT, right=_WIDTH - _RIGHT, top=_TOP, bottom=_HEIGHT - _BOTTOM,
            middle=(_LEFT + _WIDTH - _RIGHT) / 2, center=(_TOP + _HEIGHT - _BOTTOM) / 2, below=_HEIGHT - 14,
            title=escape(self.title), subtitle=escape(self.subtitle),
            x_label=escape(self.x_label), y_label=escape(self.y_label),
            grid="\n".join([*_x_ticks(scale, x_step), *_y_ticks(scale, y_step)]),
            curve=" ".join(f"{a:.1f},{b:.1f}" for a, b in map(scale.point, self.x, self.y)),
            x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}",
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


def _step(most: float) -> float:
    """Return a round distance of ticks, of which about six fit below `most`."""
    size = 1.0
    while True:
        for factor in (1, 2, 5):
            if most / (size * factor) <= _TICKS:
                return size * factor
        size *= 10


def _ticks(step: float, most: float) -> list[float]:
    return [step * number for number in range(round(most / step) + 1)]


def _x_ticks(scale: _Scale, step: float) -> list[str]:
    return [
        f'  <text x="{scale.point(value, 0)[0]:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle" '
        f'fill="#555555">{value:g}</text>'
        for value in _ticks(step, scale.x_most)
    ]


def _y_ticks(scale: _Scale, step: float) -> list[str]:
    lines = []
    for value in _ticks(step, scale.y_most):
        _, y = scale.point(0, value)
        lines += [
            f'  <line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#e4e4e4"/>',
            f'  <text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#555555">{value:g}</text>',
        ]
    return lines
