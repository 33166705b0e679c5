"""Tokens a second over slots, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pipeline.run.tuned import Measured

_WIDTH, _HEIGHT = 420, 240
_LEFT, _TOP = 64, 44


def svg(title: str, trials: Sequence[Measured]) -> str:
    """An SVG document: one dot for each number of slots that was measured."""
    found = sorted((int(t.value), t.tokens) for t in trials if t.name == "slots" and t.tokens is not None)
    most = max((tokens for _, tokens in found), default=1.0)
    places = {slots: _LEFT + _WIDTH * (index + 0.5) / max(len(found), 1) for index, slots in enumerate(dict(found))}
    points = [(places[slots], _TOP + _HEIGHT * (1 - tokens / (most * 1.1)), slots, tokens) for slots, tokens in found]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#2f6db5"/>'
        f'<text x="{x:.1f}" y="{y - 9:.1f}" text-anchor="middle">{tokens:,.0f}</text>'
        f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{slots}</text>'
        for x, y, slots, tokens in points
    )
    width, height = _LEFT + _WIDTH + 24, _TOP + _HEIGHT + 52
    middle, across = _LEFT + _WIDTH // 2, _TOP + _HEIGHT // 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="#222">'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{_LEFT}" y="22" font-size="14">{escape(title)}</text>'
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#888"/>'
        f'<polyline points="{line}" fill="none" stroke="#2f6db5"/>{dots}'
        f'<text x="{middle}" y="{_TOP + _HEIGHT + 40}" text-anchor="middle">slots</text>'
        f'<text x="24" y="{across}" text-anchor="middle" transform="rotate(-90 24 {across})">tokens/s</text>'
        "</svg>\n"
    )
