"""A calibration as a picture: how often values were right at each confidence, and what can be kept at a precision."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pipeline.confidence.calibrating import Bin, coverage_curve

_SIDE = 260
_LEFT = 56
_TOP = 44
_GAP = 90


def svg(title: str, bins: Sequence[Bin], confidences: Sequence[float], right: Sequence[bool]) -> str:
    """An SVG document of two panels. The area of a dot is the number of values."""
    most = max((one.values for one in bins), default=1)
    dots = "".join(
        f'<circle cx="{_x(0, one.confidence):.1f}" cy="{_y(one.right):.1f}" '
        f'r="{3 + 9 * (one.values / most) ** 0.5:.1f}" '
        f'fill="#2f6db5" fill-opacity="0.75"><title>{one.values} values: confidence {one.confidence:.2f}, '
        f"right {one.right:.2f}</title></circle>"
        for one in bins
    )
    curve = " ".join(
        f"{_x(1, share):.1f},{_y(reached):.1f}" for share, reached, _ in coverage_curve(confidences, right)
    )
    marks = "".join(
        f'<line x1="{_x(1, 0)}" y1="{_y(p):.1f}" x2="{_x(1, 1)}" y2="{_y(p):.1f}" stroke="#ccc"/>'
        f'<text x="{_x(1, 1) + 4}" y="{_y(p) + 4:.1f}" font-size="10" fill="#777">{p:.2f}</text>'
        for p in (0.90, 0.95, 0.99)
    )
    width, height = _LEFT + 2 * _SIDE + _GAP + 44, _TOP + _SIDE + 52
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="#222">'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{_LEFT}" y="22" font-size="14">{escape(title)}</text>'
        f"{_frame(0, 'confidence', 'share of values that are right')}"
        f'<line x1="{_x(0, 0)}" y1="{_y(0)}" x2="{_x(0, 1)}" y2="{_y(1)}" stroke="#bbb" stroke-dasharray="4 4"/>{dots}'
        f"{_frame(1, 'share of values kept, surest first', 'precision of what is kept')}{marks}"
        f'<polyline points="{curve}" fill="none" stroke="#b5532f" stroke-width="2"/>'
        "</svg>\n"
    )


def _x(panel: int, value: float) -> float:
    return _LEFT + panel * (_SIDE + _GAP) + value * _SIDE


def _y(value: float) -> float:
    return _TOP + (1 - value) * _SIDE


def _frame(panel: int, below: str, beside: str) -> str:
    left, middle = _x(panel, 0), _x(panel, 0.5)
    ticks = "".join(
        f'<text x="{_x(panel, v):.0f}" y="{_y(0) + 16:.0f}" text-anchor="middle">{v:g}</text>'
        f'<text x="{left - 6:.0f}" y="{_y(v) + 4:.0f}" text-anchor="end">{v:g}</text>'
        for v in (0.0, 0.5, 1.0)
    )
    across = _y(0.5)
    return (
        f'<rect x="{left:.0f}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#888"/>{ticks}'
        f'<text x="{middle:.0f}" y="{_y(0) + 36:.0f}" text-anchor="middle">{escape(below)}</text>'
        f'<text x="{left - 38:.0f}" y="{across:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 {left - 38:.0f} {across:.0f})">{escape(beside)}</text>'
    )
