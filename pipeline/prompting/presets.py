"""SillyTavern instruct presets (JSON) -> chat templates (Jinja), as people already have them for their models.

The fields are those of SillyTavern's `instruct` presets: sequences before the turns of each role, suffixes behind
them, `wrap` for a line end between a sequence and its text. A master export holds such a preset under `instruct`.
Not taken over: names before messages, activation, samplers; a stop sequence is not needed, because the grammar ends an
answer. Knows nothing of tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_MACRO = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_NAMES = {"user": "User", "char": "Assistant", "name": "User", "trim": ""}


def jinja_of(preset: str) -> str:
    """The chat template that this preset describes. Raises ValueError with what is wrong with it."""
    try:
        data = json.loads(preset)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}") from None
    if isinstance(data, dict) and isinstance(data.get("instruct"), dict):
        data = data["instruct"]
    if not isinstance(data, dict) or "input_sequence" not in data or "output_sequence" not in data:
        raise ValueError("it is no instruct preset: input_sequence and output_sequence are not both in it")
    fields = _Fields(data)
    line = "\n" if data.get("wrap", True) else ""
    separator = fields("separator_sequence")  # of presets before 2024
    sequences = {
        "system": fields("story_string_prefix") or fields("system_sequence_prefix") or fields("system_sequence"),
        "user": fields("input_sequence"),
        "assistant": fields("output_sequence", "Assistant"),
    }
    if data.get("system_same_as_user") and not sequences["system"]:
        sequences["system"] = sequences["user"]
    suffixes = {
        "system": fields("story_string_suffix") or fields("system_sequence_suffix") or fields("system_suffix"),
        "user": fields("input_suffix"),
        "assistant": fields("output_suffix", "Assistant") or separator,
    }
    begins = {role: sequence + line * bool(sequence) for role, sequence in sequences.items()}
    ends = {role: _ended(suffix, line) for role, suffix in suffixes.items()}
    first = fields("first_input_sequence")
    user_first = first + line if first else begins["user"]
    last = fields("last_output_sequence", "Assistant")
    answer = last + line if last else begins["assistant"]
    return (
        "{% for m in messages %}"
        f"{{% if m.role == 'system' %}}{_text(begins['system'])}{{{{ m.content }}}}{_text(ends['system'])}"
        f"{{% elif m.role == 'assistant' %}}{_text(begins['assistant'])}{{{{ m.content }}}}{_text(ends['assistant'])}"
        f"{{% else %}}{{% if loop.first or loop.previtem.role == 'system' %}}{_text(user_first)}"
        f"{{% else %}}{_text(begins['user'])}{{% endif %}}{{{{ m.content }}}}{_text(ends['user'])}"
        f"{{% endif %}}{{% endfor %}}{{% if add_generation_prompt %}}{_text(answer)}{{% endif %}}"
    )


class _Fields:
    """The preset's texts, with SillyTavern's macros for names filled in."""

    def __init__(self, data: Mapping[str, object]) -> None:
        self._data = data

    def __call__(self, key: str, name: str = "User") -> str:
        value = self._data.get(key) or ""
        if not isinstance(value, str):
            raise ValueError(f"{key} is not a text")

        def filled(match: re.Match[str]) -> str:
            macro = match[1].lower()
            if macro not in _NAMES:
                raise ValueError(f"{key} holds the macro {match[0]}, which means nothing here")
            return name if macro == "name" else _NAMES[macro]

        return _MACRO.sub(filled, value)


def _ended(suffix: str, line: str) -> str:
    """Where sequences are wrapped, each begins a line of its own."""
    return suffix if not line or suffix.endswith("\n") else suffix + line


def _text(text: str) -> str:
    """A Jinja expression that writes this text, whatever it holds."""
    return "{{ " + json.dumps(text, ensure_ascii=False) + " }}" if text else ""
