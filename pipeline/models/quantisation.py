"""What the name of a quantisation means for answers, in one word. Knows names, not files."""

from __future__ import annotations

import re

# Widely measured on models of 3 to 70 billion parameters (llama.cpp's quantize README, perplexity against F16); small
# models lose more at the same name.
_WORDS = (
    (r"F32|F16|BF16", "full"),
    (r"Q8|Q6", "excellent"),
    (r"Q5|MXFP4|NVFP4", "great"),
    (r"Q4_K|IQ4|Q4_1", "good"),
    (r"Q4|Q3_K_[LM]|IQ3_[SM]$", "fair"),
    (r"Q3|IQ3", "weak"),
    (r"TQ|Q1_0|Q2_0", "native"),  # models trained with ternary or binary weights
    (r"Q2|IQ2", "poor"),
    (r"IQ1", "broken"),
)


def quality(quantisation: str) -> str:
    """One word: full, excellent, great, good, fair, weak, poor, broken; native; unknown."""
    return next((word for pattern, word in _WORDS if re.match(pattern, quantisation)), "unknown")
