"""`nightdesk check`: is a task in order, and what does it cost, without running it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.cli import options, screen
from pipeline.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.prompting import PromptBuilder, Task

_DOCUMENT = "(the document stands here)"


def check(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task's name, or the path of its .toml file.")],
    model: options.ModelName = None,
    engine: options.Server = None,
    template: options.Template = None,
    grammar: Annotated[
        Literal["llguidance", "outlines_core", "free"], typer.Option(help="What is to hold answers to the schema.")
    ] = "llguidance",
    show_prompt: Annotated[bool, typer.Option("--show-prompt", help="Print the prompt as the model sees it.")] = False,
) -> None:
    """Check a task's prompt, schema and examples, and count their tokens. Loads no weights.

    A server is asked to count, to show the prompt where it can, and for one token, to see whether it takes the schema.

    \b
    Examples:
      nightdesk check receipts
      nightdesk check prompts/letters.toml --show-prompt
      nightdesk check receipts --engine http://127.0.0.1:8080
    """
    from pipeline.data import ConstraintSpec
    from pipeline.grammars import grammar as grammar_of
    from pipeline.prompting import PromptBuilder, load_task, template_text
    from pipeline.run.model import open_model

    loaded = load_task(task)
    _task(loaded)
    if engine is not None:
        _by_server(loaded, options.model(model), str(options.server(engine)), template, show_prompt=show_prompt)
        screen.out("", f"In order. Try it: nightdesk run {screen.safe(task)} FOLDER --engine {engine} --limit 20")
        return
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


def _by_server(task: Task, name: str, url: str, template: str | None, *, show_prompt: bool) -> None:
    """What a server that runs already says to the task."""
    from pipeline.loopback import server_address
    from pipeline.prompting import PromptBuilder
    from pipeline.run.served import ServerModel

    if template is not None:
        raise UserError("--template does not work with a server: it applies its model's.", hint="Leave it out.")
    model = ServerModel(name, *server_address(url))
    builder = PromptBuilder(task, model.tokenizer)
    options, about = task.options, "" if model.counts else "about "
    _line("model", model.name)
    _line("server", model.says())
    for number, example in enumerate(task.examples, start=1):
        text, answer = model.tokenizer.count(example.text), model.tokenizer.count(example.answer)
        _line(f"example {number}", f"{about}{text:,} tokens of text, {about}{answer:,} of answer")
    _line(
        "chunk", f"{about}{options.chunk_tokens:,} tokens of a document, {options.overlap:,} shared with the next chunk"
    )
    _line("answer", f"up to {options.max_answer_tokens:,} tokens")
    if show_prompt:
        prompt, exact = model.shown(builder, _DOCUMENT)
        how = "as the server makes it" if exact else "in turns: this server does not tell what it makes of them"
        screen.out("", f"The prompt, {how}:", screen.safe(prompt), "")
    model.check_fits(builder)
    _line(
        "in all", f"up to {model.most:,} tokens{'' if model.counts else ', a byte counted as one'}: they fit a request"
    )
    model.try_schemas()
    _line("grammar", "the server takes the schema; it cannot hold values to the words of the document")


def _prompt(builder: PromptBuilder) -> None:
    """The prompt with its special tokens set off. It holds the task's own texts, not a document's."""
    dim = screen.colours(sys.stdout)
    how = "dim" if dim else "between ⟦ and ⟧"  # a text may hold the same characters as a special token
    screen.out("", f"The prompt, special tokens {how}; the shared prefix ends at the line that says so:")
    shared = True
    for shown in builder.describe(_DOCUMENT):
        if shared and not shown.shared:
            screen.out("", screen.styled("--- the shared prefix ends here ---", "dim"))
            shared = False
        special = screen.styled(shown.text, "dim") if dim else f"⟦{screen.safe(shown.text)}⟧"
        screen.out(special if shown.special else screen.safe(shown.text), end="")
    screen.out("")
