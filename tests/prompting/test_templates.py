"""Templates run in a sandbox, see placeholders only, and are taken as far as they go."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ModelFileError, TaskError
from pipeline.models.byte_tokenizer import ByteTokenizer
from pipeline.prompting import PromptBuilder
from pipeline.prompting.templates import ChatTemplate, Placeholder, answer_header, close_thinking

Tasks = Any  # Tasks of conftest.py

CHATML = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|answer|>{% endif %}"
)
USER = Placeholder("user")


def shown(tasks: Tasks, template: str) -> str:
    builder = PromptBuilder(tasks.load(), ByteTokenizer(), template=template)
    return "".join(part.text for part in builder.describe("THE BILL"))


def test_the_output_is_cut_at_the_placeholders() -> None:
    assert ChatTemplate(CHATML).render([("system", ("Be ", USER, "!")), ("user", (USER,))]) == (
        "<|system|>Be ",
        USER,
        "!<|user|>",
        USER,
        "<|answer|>",
    )


def test_placeholders_survive_what_templates_do_to_texts() -> None:
    template = (
        "{% for m in messages %}[{{ m.content | trim | string }}]{{ '' ~ m['content'].strip() is string }}{% endfor %}"
    )

    assert ChatTemplate(template).render([("user", (USER,))]) == ("[", USER, "]True")


def test_today_is_pinned() -> None:
    template = "{{ strftime_now('%Y-%m-%d') }}" + CHATML

    assert ChatTemplate(template).render([("user", (USER,))])[0].startswith("2026-01-01")
    pinned = ChatTemplate(template, date=datetime.date(2024, 2, 29)).render([("user", (USER,))])
    assert pinned[0].startswith("2024-02-29")


@pytest.mark.parametrize(
    "template",
    [
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML,
        "{% for m in messages if m.role != 'system' %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|answer|>",
    ],
)
def test_where_a_template_has_no_system_turn_the_first_user_turn_has_the_instructions(
    tasks: Tasks, template: str
) -> None:
    assert shown(tasks, template).startswith("<s><|user|>Read the bill.\nAnswer with JSON.\n\nCorner Shop\n")


def test_where_a_template_moves_the_system_text_to_the_last_turn_the_prefix_stays_shared(tasks: Tasks) -> None:
    template = (
        "{% for m in messages if m.role != 'system' %}<|{{ m.role }}|>"
        "{% if loop.last and messages[0].role == 'system' %}{{ messages[0].content }}\n\n{% endif %}{{ m.content }}"
        "{% endfor %}<|answer|>"
    )

    assert shown(tasks, template).startswith("<s><|user|>Read the bill.")


def test_turns_alternate(tasks: Tasks) -> None:
    template = (
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}"
        "{% endif %}{% endfor %}" + CHATML
    )

    assert shown(tasks, template).count("<|user|>") == 3


def test_where_a_template_takes_one_turn_only_the_examples_stand_in_it(tasks: Tasks) -> None:
    template = "{% if messages | length > 1 %}{{ raise_exception('one') }}{% endif %}" + CHATML

    text = shown(tasks, template)

    assert text.count("<|user|>") == 1
    assert text.index("Read the bill.") < text.index('"2.10"}') < text.index("THE BILL")


@pytest.mark.parametrize(
    ("template", "part"),
    [
        ("{% for %}", "line 1"),
        ("\n\n{{ messages | nosuchfilter }}", "line 3"),
        ("{{ messages[0].nothing.deeper }}", "no attribute"),
        ("{{ messages[9].content }}", "no element 9"),
        ("{{ 1 // 0 }}", "division"),
        ("{{ ''.__class__.__mro__ }}" + CHATML, "unsafe"),
        ("{{ messages.append(1) }}" + CHATML, "unsafe"),
        ("no texts at all", "neither a system turn"),
        ("{{ raise_exception('never') }}", "neither a system turn"),
        ("{% for i in range(10000000) %}x{% endfor %}" + CHATML, "Range too big"),
    ],
)
def test_a_template_that_does_not_work_is_explained(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch, template: str, part: str
) -> None:
    with pytest.raises(TaskError) as of_task:
        PromptBuilder(tasks.load(), ByteTokenizer(), template=template)
    assert part in of_task.value.message

    monkeypatch.setattr(ByteTokenizer, "template", template)
    with pytest.raises(ModelFileError) as of_model:
        PromptBuilder(tasks.load(), ByteTokenizer())
    assert part in of_model.value.message
    assert "template" in of_model.value.hint


@pytest.mark.parametrize("lead", ["", "{{ bos_token }}", "{{ bos_token }}{{ bos_token }}"])
def test_bos_stands_once_whatever_the_template_prints(tasks: Tasks, lead: str) -> None:
    assert shown(tasks, lead + CHATML).count("<s>") == 1


def test_a_template_that_opens_a_thought_ends_behind_it(tasks: Tasks) -> None:
    assert shown(tasks, CHATML + "{{ '<think>\\n' }}").endswith("<|answer|><think>\n</think>\n\n")


def test_a_document_is_no_template(tasks: Tasks) -> None:
    builder = PromptBuilder(tasks.load(), ByteTokenizer())

    assert "{{ 7 * 7 }}{% x %}" in "".join(part.text for part in builder.describe("{{ 7 * 7 }}{% x %}"))


@pytest.mark.parametrize(
    ("tail", "closing"),
    [
        ("<|im_end|>\n<|im_start|>assistant\n", ""),
        ("assistant\n<think>\n\n</think>\n\n", ""),
        ("assistant\n<think>\n", "</think>\n\n"),
        ("assistant\n<think>", "\n\n</think>\n\n"),
        ("[/INST][THINK]", "\n[/THINK]"),
        ("<|turn>model\n<|channel>thought\n<channel|>", ""),
        ("<|turn>model\n<|channel>thought\n", "<channel|>"),
    ],
)
def test_an_open_thought_is_closed(tail: str, closing: str) -> None:
    assert close_thinking(tail) == closing


def test_an_answer_begins_where_the_templates_own_history_shows_it() -> None:
    template = (
        "{% for m in messages %}<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}"
        "<|message|>{{ m.content }}<|end|>{% endfor %}<|start|>assistant"
    )

    assert answer_header(ChatTemplate(template), "<|end|><|start|>assistant") == "<|channel|>final<|message|>"
    assert answer_header(ChatTemplate(CHATML), "<|answer|>") == ""


REFUSED = {  # for tool calls only: they fail without a list of tools
    "CohereForAI-c4ai-command-r-plus-tool_use",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
    "fireworks-ai-llama-3-firefunction-v2",
}


def test_the_templates_in_llama_cpps_sources_are_taken(tasks: Tasks, vocabularies: Path) -> None:
    files = sorted((vocabularies / "templates").glob("*.jinja"))
    if not files:
        pytest.skip(f"{vocabularies}/templates holds no templates")
    refused, task = set(), tasks.load()
    for file in files:
        try:
            builder = PromptBuilder(task, ByteTokenizer(), template=file.read_text("utf-8"))
            text = "".join(part.text for part in builder.describe("THE BILL"))
        except TaskError:
            refused.add(file.stem)
            continue
        assert text.index("Read the bill.") < text.index("Corner Shop") < text.index('"2.10"}') < text.index("THE BILL")
        for opening, closing in (("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<|channel>", "<channel|>")):
            tail = text[text.index("THE BILL") :]
            assert tail.count(opening) <= tail.count(closing)

    assert refused <= REFUSED
