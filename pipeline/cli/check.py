"""`nightdesk check`: is a task in order, and what does it cost, without running it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.cli import options, screen

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.prompting import PromptBuilder, Task

_DOCUMENT = "(the document stands here)"


def check(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task's name, or the path of its .toml file.")],
    model: options.ModelName = None,
    template: options.Template = None,
    grammar: Annotated[
        Literal["llguidance", "outlines_core", "free"], typer.Option(help="What is to hold answers to the schema.")
    ] = "llguidance",
    show_prompt: Annotated[bool, typer.Option("--show-prompt", help="Print the prompt as the model sees it.")] = False,
) -> None:
    """Check a task's prompt, schema and examples, and count their tokens. Loads no weights.

    \b
    Examples:
      nightdesk check receipts
      nightdesk check prompts/letters.toml --show-prompt
    """
    from pipeline.data import ConstraintSpec
    from pipeline.grammars import grammar as grammar_of
    from pipeline.prompting import PromptBuilder, load_task, template_text
    from pipeline.run.model import open_model

    loaded = load_task(task)
    _task(loaded)
    opened = open_model(options.model(model))
    wanted = template and template_text(template, Path(), "--template")
    builder = PromptBuilder(loaded, opened.tokenizer, template=wanted)
    _tokens(builder, opened.name, opened.context, opened.tokenizer.count)
    grammar_of(grammar, opened.tokenizer.vocabulary).compile(ConstraintSpec(loaded.schema.json_schema, "")).start()
    _line("grammar", f"{grammar} takes the schema")
    if show_prompt:
        _prompt(builder)
    builder.check_fits(opened.context)
    screen.out("", f"In order. Try it on a few documents: nightdesk run {screen.safe(task)} FOLDER --limit 20")


def _line(name: str, value: str) -> None:
    screen.out(f"  {name:<10}{screen.safe(value)}")


def _task(task: Task) -> None:
    screen.out(screen.styled(f"Task {task.name}", "bold") + f" ({screen.safe(str(task.path))})")
    _line("fields", ", ".join(field.name for field in task.schema.root.fields))
    _line("examples", f"{len(task.examples)}, each fits the schema" if task.examples else "none")


def _tokens(builder: PromptBuilder, model: str, context: int, count: Callable[[str], int]) -> None:
    task, chunk = builder.task, builder.task.options.chunk_tokens
    _line("model", model)
    _line("prefix", f"{len(builder.prefix.tokens):,} tokens, computed once and shared by all documents")
    for number, example in enumerate(task.examples, start=1):
        text, answer = count(example.text), count(example.answer)
        _line(f"example {number}", f"{text:,} tokens of text, {answer:,} of answer")
        if answer > task.options.max_answer_tokens:
            _line("", f"longer than max_answer_tokens = {task.options.max_answer_tokens}: such answers are cut")
    _line("chunk", f"up to {chunk:,} tokens of a document, {task.options.overlap:,} of them shared with the next chunk")
    if builder.most_thought:
        _line("thought", f"up to {builder.most_thought:,} tokens before the answer")
    _line("answer", f"up to {task.options.max_answer_tokens:,} tokens")
    _line("in all", f"up to {builder.most_tokens:,} tokens; the model was trained for {context:,}")


def _prompt(builder: PromptBuilder) -> None:
    """The prompt with its special tokens set off. It holds the task's own texts, not a document's."""
    screen.out("", "The prompt; the shared prefix ends at the line that says so:")
    shared = True
    for shown in builder.describe(_DOCUMENT):
        if shared and not shown.shared:
            screen.out("", screen.styled("--- the shared prefix ends here ---", "dim"))
            shared = False
        screen.out(screen.styled(shown.text, "dim") if shown.special else screen.safe(shown.text), end="")
    screen.out("")
