"""Prompting: a task file and a chunk -> the token segments of a prompt.

tasks.py      prompts/<task>.toml -> Task, checked
presets.py    SillyTavern's instruct presets as chat templates
templates.py  a chat template in jinja2's sandbox, cut at placeholders
prompts.py    PromptBuilder: shared prefix, chunk, suffix; Prompt
"""

from __future__ import annotations

from pipeline.prompting.prompts import PromptBuilder, Shown
from pipeline.prompting.samples import question_of, with_samples
from pipeline.prompting.tasks import Example, Options, Task, available_tasks, load_task, template_text
from pipeline.prompting.templates import PINNED_DATE

__all__ = [
    "PINNED_DATE",
    "Example",
    "Options",
    "PromptBuilder",
    "Shown",
    "Task",
    "available_tasks",
    "load_task",
    "question_of",
    "template_text",
    "with_samples",
]
