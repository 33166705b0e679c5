"""A picture of a page -> the same, evenly lit, upright and straight, and the way back for boxes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

_MOST_SKEW = 10  # degrees
_LOOKED_AT = 900  # pixels of the longer side: enough to see lines of text
_DARKER = 16  # than its surroundings: ink
_WORTH = 1.02  # how much sharper the lines must get
_BLANK = 0.0005  # share of ink
_UNEVEN = 0.75  # the darkest surroundings to the brightest; dense text is not so dark
_PAPER = 235  # what paper becomes

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Turned:
    """A picture that was turned by `angle` degrees, counter-clockwise. `before` is its size then."""

    picture: Any
    angle: float
    before: tuple[int, int]

    def back(self, box: Box) -> Box:
        """The upright box around what `box` (left, top, right, bottom) was before the turn."""
        angle = -math.radians(self.angle)
        width, height = self.picture.size
        corners = [(x - width / 2, y - height / 2) for x in (box[0], box[2]) for y in (box[1], box[3])]
        xs = [math.cos(angle) * x + math.sin(angle) * y + self.before[0] / 2 for x, y in corners]
        ys = [-math.sin(angle) * x + math.cos(angle) * y + self.before[1] / 2 for x, y in corners]
        return (
            *(max(0.0, min(xs)), max(0.0, min(ys))),
            *(min(max(xs), float(self.before[0])), min(max(ys), float(self.before[1]))),
        )


def levelled(picture: Any) -> Any:  # noqa: ANN401 - PIL.Image.Image, which may not be installed
    """The picture as if its light were even. One that is lit evenly, as by a scanner, stays as it is."""
    around = _around(picture)
    levels = np.asarray(around, dtype=np.float32)
    if levels.min() > _UNEVEN * levels.max():
        return picture
    light = np.asarray(around.resize(picture.size, resample=2), dtype=np.uint16)
    even = np.asarray(picture, dtype=np.uint16) * np.uint16(_PAPER) // np.maximum(light, 1)
    result = picture.copy()
    result.frombytes(np.minimum(even, 255).astype(np.uint8).tobytes())
    return result


def turned(picture: Any, clockwise: int) -> Turned:  # noqa: ANN401 - as above
    """Turn by a multiple of 90 degrees and then so that lines of text lie level."""
    upright = picture.rotate(-clockwise, expand=True) if clockwise else picture
    skew = skew_of(upright)
    straight = picture.rotate(skew - clockwise, resample=3, expand=True, fillcolor=255) if skew else upright
    return Turned(straight, skew - clockwise, picture.size)


def is_blank(picture: Any) -> bool:  # noqa: ANN401 - as above
    """Whether next to nothing on the page is darker than its surroundings."""
    return float(ink_of(picture).mean()) < _BLANK


def skew_of(picture: Any) -> float:  # noqa: ANN401 - as above
    """By how many degrees to turn, counter-clockwise, so that rows of ink and rows of paper differ most."""
    ink = ink_of(picture)
    if not ink.any():
        return 0.0
    mask = picture.resize((ink.shape[1], ink.shape[0]))
    mask.putdata((ink * 255).ravel().tolist())

    def sharpness(angle: float) -> float:
        rows = np.asarray(mask.rotate(angle), dtype=np.float64).sum(axis=1)
        return float(np.square(np.diff(rows)).sum())

    coarse = max(range(-_MOST_SKEW, _MOST_SKEW + 1), key=sharpness)
    best = max((coarse + step / 10 for step in range(-9, 10)), key=sharpness)
    return best if sharpness(best) > _WORTH * sharpness(0.0) else 0.0


def ink_of(picture: Any) -> Any:  # noqa: ANN401 - as above
    """Where a smaller copy of the picture is darker than around: shadows and the table beneath are not ink."""
    scale = min(1.0, _LOOKED_AT / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    small = picture.resize((width, height), resample=4)
    around = _around(small).resize((width, height), resample=2)
    return np.asarray(around, dtype=np.int16) - np.asarray(small, dtype=np.int16) > _DARKER


def _around(picture: Any) -> Any:  # noqa: ANN401 - as above
    """The picture as squares of a few lines of text each."""
    side = max(1, max(picture.size) // 38)
    return picture.resize(tuple(max(1, length // side) for length in picture.size), resample=4)
