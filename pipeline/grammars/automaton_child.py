"""A program of its own: JSON Schema on stdin -> the automaton over bytes that outlines-core makes of it, on stdout.

It runs apart because outlines-core can eat gigabytes and minutes; it puts its own limits on. The one module that
imports outlines-core. Started with `python -I`, so it imports nothing of ours.
"""

from __future__ import annotations

import json
import resource
import sys

import numpy as np
from outlines_core import Index, Vocabulary
from outlines_core.json_schema import STRING_INNER, build_regex_from_schema

MEMORY = 2 << 30  # bytes
SECONDS = 20  # of processor time
MAX_STATES = 40_000

_END = 256
_MARK = "\x01"  # stands wherever outlines-core would allow white space
# Its strings forbid U+007F to U+009F and allow more escapes than our rendering writes.
_INNER = r'([^"\\\x00-\x1F]|\\(["\\bfnrt]|u00(0[0-7be-f]|1[0-9a-f])))'


def separated(regex: str) -> str:
    """The regular expression with our fixed separators where the marks stand."""
    for before, after in (
        (f"{_MARK},{_MARK}", ", "),
        (f"{_MARK},", ", "),
        (f",{_MARK}", ", "),
        (f"{_MARK}:{_MARK}", ": "),
        (_MARK, ""),
        (STRING_INNER, _INNER),
    ):
        regex = regex.replace(before, after)
    return regex


def main() -> int:
    """Read, compile, write: a line of JSON, then one row of 256 int32 a state. 3: outlines-core refused."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        regex = separated(build_regex_from_schema(sys.stdin.read(), _MARK, 64))
        index = Index(regex, Vocabulary(_END, {bytes([byte]): [byte] for byte in range(256)}))
    except (ValueError, OverflowError) as error:
        sys.stderr.write(str(error))
        return 3
    transitions = index.get_transitions()
    finals = index.get_final_states()
    states = sorted({index.get_initial_state(), *transitions, *finals})
    if len(states) > MAX_STATES:
        sys.stderr.write(f"its automaton has {len(states)} states")
        return 3
    number = {state: at for at, state in enumerate(states)}
    table = np.full((len(states), 256), -1, dtype="<i4")
    for state, edges in transitions.items():
        for byte, following in edges.items():
            if byte != _END:
                table[number[state], byte] = number[following]
    head = {"initial": number[index.get_initial_state()], "finals": [number[state] for state in finals]}
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + table.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
