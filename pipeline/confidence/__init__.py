"""How far a value can be trusted: measured, not asked for. Pure.

signals.py      an answer's tokens and their figures -> what they say about each value
agreement.py    answers drawn beside it -> how many of them say the same
short_lists.py  lists that may have lost items
rating.py       these and the evidence -> one number: by a fixed rule, or by a calibration
calibrating.py  values known to be right or wrong -> a calibration, and how good it is
plot.py         the same as a picture
"""

from __future__ import annotations

from pipeline.confidence.agreement import agreeing
from pipeline.confidence.calibrating import Bin, Coverage, Observation, coverage, fit, held_out, reliability
from pipeline.confidence.plot import svg
from pipeline.confidence.rating import Calibration, features, field_of, rate, rated
from pipeline.confidence.short_lists import Part, lists_of, short_lists
from pipeline.confidence.signals import Signal, signals

__all__ = [
    "Bin",
    "Calibration",
    "Coverage",
    "Observation",
    "Part",
    "Signal",
    "agreeing",
    "coverage",
    "features",
    "field_of",
    "fit",
    "held_out",
    "lists_of",
    "rate",
    "rated",
    "reliability",
    "short_lists",
    "signals",
    "svg",
]
