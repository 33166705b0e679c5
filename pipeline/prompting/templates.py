"""A chat template rendered with placeholders: what the template wrote, and where the texts go.

The GGUF's own Jinja template runs in jinja2's sandbox. It never sees a text of a document or an example: it sees
placeholders, and its output is cut at them. So no text can act as a template, and template text is known as such.
Knows nothing of tokens.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from pipeline.errors import ModelFileError, NightdeskError, TaskError

PINNED_DATE = datetime.date(2026, 1, 1)
"""What templates are told when they ask for today: another day must not make another prompt."""

_MARK = "NIGHTDESKTEXT{}ENDTEXT"  # letters and digits pass every filter a template may apply


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Where a text goes, by its name."""

    name: str


Part = str | Placeholder

Turn = tuple[str, tuple[Part, ...]]
"""A role (system, user, assistant) and its content."""


class _Refused(Exception):  # noqa: N818
    """The template called raise_exception."""


class _GenerationTag(jinja2.ext.Extension):
    """`{% generation %}` marks what a model is trained on; here it only wraps its body."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's own declaration

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        """The body, as it is."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """A compiled chat template with the date pinned. `own`: it came with the model file."""

    def __init__(
        self,
        source: str,
        *,
        bos: str = "",
        eos: str = "",
        date: datetime.date = PINNED_DATE,
        own: bool = True,
        thinking: bool = False,
    ) -> None:
        """Raises ModelFileError (TaskError where it is not the model's own) when it does not compile."""
        self.source, self.own = source, own
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _GenerationTag],
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = date.strftime
        self._variables = {
            "bos_token": bos,
            "eos_token": eos,
            "tools": None,
            "documents": None,
            "enable_thinking": thinking,
            "thinking": thinking,
        }
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise self.refuse(f"line {error.lineno}: {error.message}") from error

    def render(self, turns: Sequence[Turn]) -> tuple[Part, ...] | None:
        """What the template writes for these turns, ready for the model's answer.

        None where the template refuses the turns or leaves one of their texts out.
        """
        names: list[str] = []
        messages = []
        for role, content in turns:
            text = ""
            for part in content:
                if isinstance(part, Placeholder):
                    text += _MARK.format(len(names))
                    names.append(part.name)
                else:
                    text += part
            messages.append({"role": role, "content": text})
        try:
            rendered = self._template.render(messages=messages, add_generation_prompt=True, **self._variables)
        except _Refused:
            return None
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            raise self.refuse(str(error)) from error
        except (RecursionError, MemoryError) as error:
            raise self.refuse("it needs too much memory") from error
        return _cut(rendered, names)

    def refuse(self, why: str) -> NightdeskError:
        """The error that says this template cannot be used."""
        why = why.rstrip(".")
        hint = "Set `template` in the task's [options] to the name of a format or to a Jinja file."
        if self.own:
            return ModelFileError(f"The chat template in the model file does not work: {why}.", hint=hint)
        return TaskError(f"The chat template that `template` names does not work: {why}.", hint=hint)


def answer_header(chat: ChatTemplate, tail: str) -> str:
    """What the template writes between `tail` and the text of an assistant turn, as its own history shows it.

    gpt-oss ends a prompt at `<|start|>assistant` and lets the model name a channel; an answer that is held to a
    grammar must begin behind `<|channel|>final<|message|>`.
    """
    user, answer = Placeholder("user"), Placeholder("answer")
    parts = chat.render([("user", (user,)), ("assistant", (answer,)), ("user", (user,))])
    if parts is None or answer not in parts:
        return ""
    between = parts[parts.index(answer) - 1]
    if not isinstance(between, str) or not between.startswith(tail):
        return ""
    return between[len(tail) :].rstrip(" ")


def close_thinking(tail: str) -> str:
    """What must follow `tail`, the end of a rendered prompt, so that the answer is not written as a thought."""
    for opening, closing, after in _THOUGHTS:
        start = tail.rfind(opening)
        if start > tail.rfind(closing):
            inside = tail[start + len(opening) :]
            return ("" if inside.endswith("\n") else "\n\n" if after else "\n") + closing + after
    return ""


def begin_thinking(tail: str, source: str, names: str) -> tuple[str, str, str] | None:
    """What must follow `tail` so that the model thinks, what closes the thought, and what follows that.

    `source` is the template and `names` the special tokens of the model, where the tags are looked for that it knows.
    None where it knows none.
    """
    for opening, closing, after in _THOUGHTS:
        if tail.rfind(opening) > tail.rfind(closing):
            return "", closing, after
    if "<|channel|>" in source and "analysis" in source:  # gpt-oss
        return "<|channel|>analysis<|message|>", "<|end|>", "<|start|>assistant<|channel|>final<|message|>"
    for known in (source, names):
        for opening, closing, after in _THOUGHTS:
            if closing in known:
                return opening + "\n" * bool(after or opening == "<|channel>thought"), closing, after
    return None


_THOUGHTS: tuple[tuple[str, str, str], ...] = (
    ("<think>", "</think>", "\n\n"),
    ("<thinking>", "</thinking>", "\n\n"),
    ("<seed:think>", "</seed:think>", "\n"),
    ("[THINK]", "[/THINK]", ""),
    ("<|START_THINKING|>", "<|END_THINKING|>", ""),
    ("<|channel>thought", "<channel|>", ""),
    ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]", "\n"),
)


def _cut(rendered: str, names: Sequence[str]) -> tuple[Part, ...] | None:
    """The rendered text cut at the placeholders. Every one of them must be there once, in order."""
    parts: list[Part] = []
    rest = rendered
    for number, name in enumerate(names):
        before, mark, rest = rest.partition(_MARK.format(number))
        if not mark:
            return None
        parts += [before, Placeholder(name)]
    if any(_MARK.format(number) in rest for number in range(len(names))):
        return None
    parts.append(rest)
    return tuple(part for part in parts if part)


def _tojson(value: object, indent: int | None = None, **options: object) -> str:
    """As transformers writes it: no HTML escapes, characters as they are."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=str, sort_keys=bool(options.get("sort_keys")))


def _raise(message: str) -> None:
    raise _Refused(message)
