"""SillyTavern's instruct presets prompt a model as SillyTavern would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import TaskError
from pipeline.models.byte_tokenizer import ByteTokenizer
from pipeline.prompting import PromptBuilder, template_text
from pipeline.prompting.formats import FORMATS
from pipeline.prompting.presets import jinja_of
from pipeline.prompting.templates import ChatTemplate, Turn

Tasks = Any  # Tasks of conftest.py

TURNS: list[Turn] = [
    ("system", ("Read.",)),
    ("user", ("One",)),
    ("assistant", ("1",)),
    ("user", ("Two",)),
]
CHATML = {
    "input_sequence": "<|im_start|>user",
    "output_sequence": "<|im_start|>assistant",
    "last_output_sequence": "",
    "system_sequence": "<|im_start|>system",
    "stop_sequence": "<|im_end|>",
    "wrap": True,
    "macro": True,
    "names_behavior": "force",
    "input_suffix": "<|im_end|>\n",
    "output_suffix": "<|im_end|>\n",
    "system_suffix": "<|im_end|>\n",
    "system_same_as_user": False,
    "name": "ChatML",
}
ALPACA = {
    "input_sequence": "### Instruction:",
    "output_sequence": "### Response:",
    "input_suffix": "\n\n",
    "output_suffix": "\n\n",
    "wrap": True,
}
LLAMA2 = {
    "input_sequence": "[INST] ",
    "output_sequence": "",
    "input_suffix": " [/INST] ",
    "output_suffix": " ",
    "system_sequence_prefix": "[INST] <<SYS>>\n",
    "system_sequence_suffix": "\n<</SYS>>\n\n",
    "first_input_sequence": "{{trim}}",
    "wrap": False,
}


def rendered(source: str) -> str:
    parts = ChatTemplate(source).render(TURNS)
    assert parts is not None
    return "".join(map(str, parts))


def preset(**fields: object) -> str:
    return jinja_of(json.dumps(fields))


def test_chatml_as_a_preset_is_chatml() -> None:
    assert rendered(preset(**CHATML)) == rendered(FORMATS["chatml"])


def test_a_master_export_holds_the_preset(tmp_path: Path) -> None:
    assert preset(instruct=CHATML, context={}, sysprompt={}) == preset(**CHATML)


def test_alpaca_has_its_lines() -> None:
    assert rendered(preset(**ALPACA)) == (
        "Read.\n### Instruction:\nOne\n\n### Response:\n1\n\n### Instruction:\nTwo\n\n### Response:\n"
    )


def test_without_wrap_no_line_is_added() -> None:
    assert rendered(preset(**LLAMA2)) == "[INST] <<SYS>>\nRead.\n<</SYS>>\n\n[INST] One [/INST] 1 [INST] Two [/INST] "


def test_the_newer_names_of_the_system_prompts_frame_win() -> None:
    source = preset(**CHATML, story_string_prefix="<|sys|>", story_string_suffix="<|/sys|>\n")

    assert rendered(source).startswith("<|sys|>\nRead.<|/sys|>\n<|im_start|>user\n")


def test_the_separator_of_old_presets_stands_behind_answers() -> None:
    source = preset(input_sequence="USER: ", output_sequence="BOT: ", separator_sequence="</s>", wrap=False)

    assert rendered(source) == "Read.USER: OneBOT: 1</s>USER: TwoBOT: "


def test_sequences_of_the_first_question_and_the_last_answer_are_used() -> None:
    source = preset(**CHATML | {"first_input_sequence": "<|first|>", "last_output_sequence": "<|now|>"})

    assert "<|first|>\nOne" in rendered(source)
    assert "<|im_start|>user\nTwo" in rendered(source)
    assert rendered(source).endswith("<|now|>\n")


def test_names_are_filled_in() -> None:
    source = preset(input_sequence="<{{user}}>", output_sequence="<{{char}}|{{name}}>", wrap=False)

    assert rendered(source) == "Read.<User>One<Assistant|Assistant>1<User>Two<Assistant|Assistant>"


@pytest.mark.parametrize("odd", ['{{ "', "'}}", "{% if %}", '"quoted" \\n', "日本語 😀", "{# note #}"])
def test_no_text_of_a_preset_acts_as_a_template(odd: str) -> None:
    if odd.count("{{") or odd.count("}}"):
        odd = odd.replace("{{", "{ {").replace("}}", "} }")

    assert rendered(preset(input_sequence=odd, output_sequence="A", wrap=False)).count(odd) == 2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "line 1"),
        ("[]", "no instruct preset"),
        ('{"temperature": 1}', "no instruct preset"),
        ('{"input_sequence": 3, "output_sequence": ""}', "input_sequence is not a text"),
        ('{"input_sequence": "{{random}}", "output_sequence": ""}', "{{random}}"),
    ],
)
def test_what_is_no_preset_is_refused_with_the_reason(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "p.json").write_text(content)

    with pytest.raises(TaskError) as raised:
        template_text("p.json", tmp_path, "--template")
    assert why in raised.value.message
    assert "p.json" in raised.value.message


def test_a_task_may_name_a_preset_and_it_is_a_part_of_the_key(tasks: Tasks) -> None:
    (tasks.folder / "prompts" / "mine.json").write_text(json.dumps(ALPACA))
    task = tasks.load('options = { template = "mine.json" }\n' + tasks.toml)
    builder = PromptBuilder(task, ByteTokenizer())

    shown = "".join(each.text for each in builder.describe("THE BILL"))

    assert shown.endswith("### Instruction:\nTHE BILL\n\n### Response:\n")
    assert builder.parts["template"] != PromptBuilder(tasks.load(), ByteTokenizer()).parts["template"]


def test_a_template_that_is_nowhere_is_said(tmp_path: Path) -> None:
    for name in ("none.jinja", "none.json", "chatlm"):
        with pytest.raises(TaskError, match="--template"):
            template_text(name, tmp_path, "--template")
