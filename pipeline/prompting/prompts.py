"""A task, a tokenizer and a chat template -> prompts: a shared prefix, then the document's chunk.

Template parts are tokenised with their special tokens; texts of documents, examples and instructions without, so
that no text can change the structure of a prompt. Between two special tokens everything is tokenised in one go, as
the model was trained. The one further cut, where the shared prefix ends, is a line end or a special token.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.data import ConstraintSpec, Prompt, Segment, Thought, fingerprint
from pipeline.errors import ModelDoesNotFit, TaskError
from pipeline.models import TokenizerLike
from pipeline.prompting.formats import FORMATS
from pipeline.prompting.tasks import Task
from pipeline.prompting.templates import (
    PINNED_DATE,
    ChatTemplate,
    Part,
    Placeholder,
    Turn,
    answer_header,
    begin_thinking,
    close_thinking,
)
from pipeline.schema import any_extractive

_DOCUMENT = Placeholder("document")
_INSTRUCTIONS = Placeholder("instructions")
_GAP = "\n\n"
_PROBE = "A"  # stands for the text behind a cut: the token before it can depend on what follows


@dataclass(frozen=True, slots=True)
class Shown:
    """A stretch of a prompt as `nightdesk check --show-prompt` prints it."""

    text: str = field(repr=False)
    tokens: int
    special: bool
    shared: bool


class PromptBuilder:
    """Builds the prompts of one task for one model. Everything before the chunk is tokenised once."""

    def __init__(
        self,
        task: Task,
        tokenizer: TokenizerLike,
        *,
        template: str | None = None,
        date: datetime.date = PINNED_DATE,
    ) -> None:
        """`template`: Jinja text or a format's name; default: the task's, the model's own, `plain`.

        Raises ModelFileError or TaskError where the template does not work.
        """
        wanted = template or task.options.template
        source = FORMATS.get(wanted, wanted) if wanted else tokenizer.template or FORMATS["plain"]
        self.task = task
        self._tokenizer = tokenizer
        chat = ChatTemplate(
            source,
            bos="" if tokenizer.bos is None else tokenizer.token_text(tokenizer.bos),
            eos="" if tokenizer.eos is None else tokenizer.token_text(tokenizer.eos),
            date=date,
            own=wanted is None,
            thinking=bool(task.options.reasoning),
        )
        self._texts = {"instructions": task.instructions}
        for number, example in enumerate(task.examples):
            self._texts[f"text {number}"] = example.text
            self._texts[f"answer {number}"] = example.answer
        parts = _lay_out(chat, len(task.examples), document_first=task.options.document_first)
        self._thought: Thought | None = None
        if task.options.reasoning:
            self._thought, opening = self._reasoning(chat, parts)
            parts = (*parts, opening)
        else:
            parts = (*parts, _without_thought(chat, parts))
        self._cut(self._runs(parts))
        self.parts: Mapping[str, str] = {
            **task.parts,
            "template": fingerprint(source, date.isoformat()),
        }

    @property
    def prefix(self) -> Segment:
        """Everything before the chunk; all prompts of this task share it."""
        return self._prefix

    def build(self, chunk_text: str) -> tuple[Segment, ...]:
        """The segments of the prompt for this chunk: the shared part, where there is one, and the rest."""
        text = self._before + chunk_text.strip()
        if self.task.options.document_first:
            document = self._up_to_a_line_end(text + _GAP, first=not self._head)
            return (Segment.of([*self._prefix.tokens, *document], shared=True), self._rest)
        tail = self._tokenizer.encode_data(text + self._after, first=not self._head)
        rest = Segment.of([*tail, *self._suffix])
        return (self._prefix, rest) if self._prefix.tokens else (rest,)

    def prompt(self, chunk_text: str, work_key: str, *, temperature: float = 0.0, seed: int = 0) -> Prompt:
        """The question to the model about this chunk."""
        schema = self.task.schema
        source = chunk_text if any_extractive(schema.root) else None
        constraint = ConstraintSpec(schema.json_schema, source, self._thought)
        return Prompt(
            work_key=work_key,
            segments=self.build(chunk_text),
            constraint=constraint,
            max_tokens=self.task.options.max_answer_tokens,
            temperature=temperature,
            seed=seed,
        )

    @property
    def frame(self) -> int:
        """Tokens of a prompt beside its chunk."""
        return sum(len(segment.tokens) for segment in self.build(""))

    @property
    def most_tokens(self) -> int:
        """Tokens of the longest sequence the task's budgets allow: prefix, a full chunk, thought, a full answer."""
        options = self.task.options
        return self.frame + options.chunk_tokens + self.most_thought + options.max_answer_tokens

    @property
    def most_thought(self) -> int:
        """Tokens of the longest thought that the task allows, what closes it included; 0 where it allows none."""
        return self._thought.most if self._thought else 0

    def check_fits(self, n_ctx: int) -> None:
        """Raise ModelDoesNotFit where a full chunk and its answer would not fit a sequence of `n_ctx` tokens."""
        if self.most_tokens > n_ctx:
            options = self.task.options
            fixed = self.most_tokens - options.chunk_tokens - self.most_thought - options.max_answer_tokens
            thought = f"thought {self.most_thought:,} + " if self.most_thought else ""
            raise ModelDoesNotFit(
                f"Task {self.task.name}: prefix {fixed:,} + chunk {options.chunk_tokens:,} + {thought}answer "
                f"{options.max_answer_tokens:,} tokens = {self.most_tokens:,}, and the context holds {n_ctx:,}.",
                hint="Take a model with a longer context, fewer or shorter examples, or a smaller chunk_tokens.",
            )

    def describe(self, chunk_text: str) -> tuple[Shown, ...]:
        """The prompt in stretches, special tokens and the shared prefix told apart."""
        shown: list[Shown] = []
        for segment in self.build(chunk_text):
            text: list[int] = []
            for token in (*segment.tokens, None):
                if token is not None and token not in self._tokenizer.markup.tokens:
                    text.append(token)
                    continue
                if text:
                    plain = self._tokenizer.vocabulary.decode(text).decode("utf-8", "replace")
                    shown.append(Shown(plain, len(text), special=False, shared=segment.shared))
                    text = []
                if token is not None:
                    name = self._tokenizer.token_text(token)
                    shown.append(Shown(name, 1, special=True, shared=segment.shared))
        return tuple(shown)

    def _reasoning(self, chat: ChatTemplate, parts: Sequence[Part]) -> tuple[Thought, str]:
        """The thought that is allowed, and what must follow the prompt so that the model begins it."""
        markup = self._tokenizer.markup
        names = " ".join(self._tokenizer.token_text(token) for token in sorted(markup.tokens))
        found = begin_thinking(_tail(parts), chat.source, names)
        if found is None:
            raise TaskError(
                f"Task {self.task.name} asks for reasoning, and neither the model's chat template nor its vocabulary "
                "knows a tag that closes a thought.",
                hint="Leave `reasoning` out of the task's [options], or use a reasoning model.",
            )
        opening, closing, after = found
        tag, rest = (self._markup_tokens(text) for text in (closing, after))
        return Thought(self.task.options.reasoning, tag, rest), opening

    def _markup_tokens(self, text: str) -> tuple[int, ...]:
        """The tokens of a template's text."""
        ids: list[int] = []
        for part in self._tokenizer.markup.split(text):
            ids += [part] if isinstance(part, int) else self._tokenizer.encode(part, first=bool(ids))
        return tuple(ids)

    def _runs(self, parts: Sequence[Part]) -> list[int | list[Part]]:
        """The rendered template as special tokens and the runs of text between them."""
        runs: list[int | list[Part]] = []
        for part in parts:
            pieces = self._tokenizer.markup.split(part) if isinstance(part, str) else [part]
            for piece in pieces:
                if isinstance(piece, int):
                    runs.append(piece)
                elif runs and isinstance(runs[-1], list):
                    runs[-1].append(piece)
                else:
                    runs.append([piece])
        bos = self._tokenizer.bos
        if self._tokenizer.add_bos and bos is not None and runs[0] != bos:
            runs.insert(0, bos)
        while bos is not None and runs[:2] == [bos, bos]:
            del runs[0]
        return runs

    def _cut(self, runs: Sequence[int | list[Part]]) -> None:
        """Tokenise what stands before and behind the chunk; keep the text that shares its run with it."""
        index = next(i for i, run in enumerate(runs) if isinstance(run, list) and _DOCUMENT in run)
        run = runs[index]
        assert isinstance(run, list)  # noqa: S101 - said by the line before
        place = run.index(_DOCUMENT)
        before, self._after = self._join(run[:place]), self._join(run[place + 1 :])
        cut = before.rfind("\n") + 1
        self._head, self._before = before[:cut], before[cut:]
        head = self._up_to_a_line_end(self._head, first=True)
        self._prefix = Segment.of([*self._tokens(runs[:index]), *head], shared=True, lasting=True)
        self._suffix = self._tokens(runs[index + 1 :])
        behind = self._tokenizer.encode_data(self._after.removeprefix(_GAP))
        self._rest = Segment.of([*behind, *self._suffix])

    def _tokens(self, runs: Sequence[int | list[Part]]) -> list[int]:
        ids: list[int] = []
        for run in runs:
            if isinstance(run, int):
                ids.append(run)
            else:
                ids += self._tokenizer.encode_data(self._join(run), first=True)
        return ids

    def _up_to_a_line_end(self, text: str, *, first: bool) -> list[int]:
        """The tokens of `text` as they are when more follows: GPT-2's family splits the last line end off."""
        if not text:
            return []
        probe = self._tokenizer.encode_data(_PROBE)
        joint = self._tokenizer.encode_data(text + _PROBE, first=first)
        if joint[-len(probe) :] == probe:
            return joint[: -len(probe)]
        return self._tokenizer.encode_data(text, first=first)

    def _join(self, parts: Sequence[Part]) -> str:
        return "".join(part if isinstance(part, str) else self._texts[part.name] for part in parts)


def _tail(parts: Sequence[Part]) -> str:
    """What the template writes behind the last text."""
    return parts[-1] if isinstance(parts[-1], str) else ""


def _without_thought(chat: ChatTemplate, parts: Sequence[Part]) -> str:
    """What must follow so that the answer begins at once."""
    tail = _tail(parts)
    header = answer_header(chat, tail)
    return header + close_thinking(tail + header)


def _lay_out(chat: ChatTemplate, examples: int, *, document_first: bool) -> tuple[Part, ...]:
    """Render the first layout the template takes: system turn and examples as turns; then with less of both."""
    texts = [Placeholder(f"text {number}") for number in range(examples)]
    answers = [Placeholder(f"answer {number}") for number in range(examples)]
    turns: list[Turn] = []
    told: list[Part] = [_INSTRUCTIONS]
    for text, answer in zip(texts, answers, strict=True):
        turns += [("user", (text,)), ("assistant", (answer,))]
        told += [_GAP, text, _GAP, answer]
    turns.append(("user", (_DOCUMENT,)))
    layouts: list[list[Turn]] = [
        [("system", (_INSTRUCTIONS,)), *turns],
        [("user", (_INSTRUCTIONS, _GAP, *turns[0][1])), *turns[1:]],
        [("user", (*told, _GAP, _DOCUMENT))],
    ]
    if document_first:
        layouts = [[("user", (_DOCUMENT, _GAP, *told))]]
    for layout in layouts:
        parts = chat.render(layout)
        if parts is not None:
            return parts
    raise chat.refuse("it takes neither a system turn, nor examples as turns, nor a single user turn")
