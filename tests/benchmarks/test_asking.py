"""That everybody is asked the same, and that the floor decodes what nightdesk decoded."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.config import EngineSettings, Shape
from pipeline.engines.scripted import Scripted
from pipeline.engines.shape import Demand, Resolved
from pipeline.engines.sizes import Sizes
from pipeline.engines.spec import EngineSpec
from pipeline.models.byte_tokenizer import ByteTokenizer
from pipeline.models.locate import find_model
from pipeline.models.tokenizer import Tokenizer
from pipeline.prompting import PromptBuilder, load_task
from pipeline.run.model import ScriptedModel
from tests.architectures.tiny import write_model
from tests.benchmarks import workloads
from tests.benchmarks.bookkeeping import measure
from tests.benchmarks.boundary import measure as measure_boundary
from tests.benchmarks.cell import warm_up
from tests.benchmarks.floor import Floor, Replay, evaluated, fastest
from tests.benchmarks.llama_server import LlamaServer
from tests.benchmarks.meter import Meter
from tests.benchmarks.ours import Nightdesk
from tests.benchmarks.results import Answer
from tests.benchmarks.rivals import HighLevel, NotHereError
from tests.benchmarks.server import Server, address, prompt_evaluated
from tests.benchmarks.validity import extraction, is_valid, micro_f1

BYTES = ByteTokenizer()


@pytest.fixture(autouse=True)
def _own_samples(monkeypatch: pytest.MonkeyPatch):
    """The samples are everywhere; the public sets are not."""
    monkeypatch.delenv("NIGHTDESK_TEST_DATA", raising=False)


@pytest.mark.parametrize("name", workloads.NAMES)
def test_no_example_and_no_warm_up_is_scored(name):
    workload = workloads.load(name, BYTES)
    scored = {one.id for one in workload.documents}
    texts = {one.document.text.strip() for one in workload.documents}
    assert scored
    assert {question.document for question in workload.questions} == scored
    assert not {question.document for question in workload.warm_up} & scored
    assert not {example.text for task in workload.tasks for example in task.examples} & texts


def test_receipts_have_three_examples_and_three_tasks_share_a_document():
    receipts, shared = workloads.load("W1", BYTES), workloads.load("W3", BYTES)
    assert [len(task.examples) for task in receipts.tasks] == [3]
    assert [question.task for question in shared.questions[:3]] == [0, 1, 2]
    assert len({question.chunk.text for question in shared.questions[:3]}) == 1
    assert all(question.chunk.tokens >= workloads.LEAST_W3 for question in shared.questions)


def test_contracts_have_several_chunks():
    workload = workloads.load("W4", BYTES)
    for one in workload.documents:
        assert sum(question.document == one.id for question in workload.questions) > 1


def test_plain_schemas_hold_nothing_to_the_document_and_pointed_ones_ask_the_same():
    for name in workloads.NAMES:
        workload = workloads.load(name, BYTES)
        for plain, pointed in zip(workload.tasks, workload.pointed().tasks, strict=True):
            assert "x-nightdesk" not in plain.schema.json_schema
            assert "x-nightdesk" in pointed.schema.json_schema
            assert [f.name for f in plain.schema.root.fields] == [f.name for f in pointed.schema.root.fields]
            assert plain.examples == pointed.examples


@pytest.mark.model
@pytest.mark.parametrize("name", workloads.NAMES)
def test_rivals_get_the_same_tokens(name):
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    tokenizer = Tokenizer.load(find_model("demo"))
    workload = workloads.load(name, tokenizer, 2)
    formatter = Jinja2ChatFormatter(tokenizer.template, eos_token=tokenizer.token_text(tokenizer.eos), bos_token="")
    for question in workload.questions:
        task = workload.tasks[question.task]
        segments = PromptBuilder(task, tokenizer).build(question.chunk.text)
        rendered = formatter(messages=workloads.messages(task, question.chunk.text)).prompt
        assert tokenizer.encode(rendered, special=True, first=True) == [t for s in segments for t in s.tokens]


@pytest.mark.model
def test_two_processes_answer_what_they_are_asked_and_a_warm_up_asks_each_of_them():
    model = find_model("demo")
    tokenizer = Tokenizer.load(model)
    workload = workloads.load("W1", tokenizer, 2)
    runner = Nightdesk(workload, model, tokenizer, Meter(), engine="batched", wanted=Shape(slots=2, replicas=2))
    try:
        warmed = [*runner.answer(warm_up(workload, runner.caches), lambda: False)]
        answers = [*runner.answer(workload.questions, lambda: False)]
    finally:
        runner.close()
    assert len(warmed) == 2 * len(workload.warm_up)
    assert sorted(one.key for one in answers) == sorted(one.key for one in workload.questions)
    assert all(one.text for one in answers)
    prefilled, generated = runner.tokens()
    assert prefilled > 0
    assert generated is None


@pytest.mark.parametrize("name", ["W1", "W3"])
def test_the_floor_decodes_as_many_rows_as_nightdesk(name, monkeypatch):
    meter = Meter()
    monkeypatch.setattr(Scripted, "decode", meter.wrap(Scripted.decode, lambda _backend, rows: len(rows)))
    workload = workloads.load(name, BYTES, 3)
    builders = [PromptBuilder(task, BYTES) for task in workload.tasks]
    prompts = [builders[q.task].prompt(q.chunk.text[:200], q.key) for q in workload.questions]
    settings = EngineSettings(shape=Shape(slots=3))
    engine, _ = ScriptedModel().start(settings, Demand(40_000, 2_000, 42_000, ranked=False))
    done = list(engine.run(prompts))
    prefilled = sum(completion.counts.prefilled for completion in done)
    generated = meter.rows - prefilled

    floor = Floor(Scripted(BYTES.vocabulary, cells=50_000), slots=3)
    meter.reset()
    answers = {completion.work_key: evaluated(completion) for completion in done}
    floor.run(Replay(prompt, *answers[prompt.work_key]) for prompt in prompts)
    assert (floor.prefilled, floor.generated) == (prefilled, generated)
    assert meter.rows == prefilled + generated


def test_the_floor_is_that_of_the_shape_whose_calls_took_least_whatever_the_order():
    meter, closed = Meter(), []
    builder = PromptBuilder(load_task(str(workloads.TASKS / "small.toml")), BYTES)
    replays = [Replay(builder.prompt(f"note {number}", f"key {number}"), (1, 2, 3)) for number in range(6)]
    shapes = [
        Resolved(slots, forks=0, fork_cells=0, sizes=Sizes(4000, 64, 512, 64, 512, 1, flash_attention=flash))
        for slots, flash in ((2, True), (1, True), (3, False))
    ]
    prices = {shapes[0].sizes: 2.0, shapes[2].sizes: 1.0}  # of a call

    class Priced(Scripted):
        def __init__(self, sizes: Sizes) -> None:
            super().__init__(BYTES.vocabulary, cells=sizes.cells, max_sequences=sizes.max_sequences)
            self.price = prices[sizes]

        def decode(self, rows):
            super().decode(rows)
            meter.calls += 1
            meter.seconds += self.price

        def close(self):
            closed.append(self.price)

    for order in (shapes, shapes[::-1]):
        best, said = fastest(order, Priced, replays[:1], replays, meter)
        assert best.shape == shapes[2]
        assert best.seconds == best.calls == len(replays) + 2 * 3  # a call a prompt, and two waves of three tokens
        assert (best.generated, best.words) == (18, "3 slots, flash attention for prompts")
        assert len(said) == 3
        assert ["given up" in words for words in said.values()] == (
            [False, True, False] if order is shapes else [False, True, True]
        )
    assert len(closed) == 6


def test_a_meter_tells_prompts_from_output_by_the_rows_of_a_call():
    meter = Meter()
    decode = meter.wrap(lambda rows: rows, len)
    for rows in ([1] * 5, [1], [1]):
        assert decode(rows) == rows
    assert (meter.calls, meter.rows, meter.many) == (3, 7, 5)
    assert meter.seconds >= 0


def test_a_cut_answer_counts_as_far_as_it_was_finished_whoever_wrote_it():
    schema = workloads.load("W1", BYTES).tasks[0].schema
    ours = '{"company": "A, \\"B\\": C", "date": "1.2.2025", "addre'
    theirs = '{ "company":"A, \\"B\\": C",\n  "date" : "1.2.2025","addre'
    for text in (ours, theirs):
        cut = Answer("k", "d", 0, 0, text, 1, 1, ended=False, valid=False)
        values = extraction(schema, cut).values
        assert (values["company"], values["date"], values["total"]) == ('A, "B": C', "1.2.2025", None)
        assert not is_valid(schema, text)


def test_labels_answered_back_score_one_and_silence_scores_less():
    workload = workloads.load("W2", BYTES)
    one = workload.documents[0]
    fields = {f.name: None for f in workload.tasks[0].schema.root.fields} | {
        name: value for name, value in one.gold.fields.items() if name not in ("due_date", "currency")
    }
    right = Answer(f"{one.id}/0/0", one.id, 0, 0, json.dumps(fields), 1, 1, ended=True, valid=True)
    wrong = Answer(f"{one.id}/0/0", one.id, 0, 0, "", 1, 1, ended=False, valid=False)
    score = micro_f1(workload, [right], {one.id})
    assert score is not None
    assert score > 0.8
    assert micro_f1(workload, [wrong], {one.id}) == 0
    assert micro_f1(workload, [], set()) is None


class _Handler(BaseHTTPRequestHandler):
    asked: ClassVar[list[dict]] = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        if "fail" in str(body["messages"][-1]):
            self._say(503, {"error": "busy"})
            return
        self._say(
            200,
            {
                "choices": [{"message": {"content": '{"bill": "no"}'}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 90, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 70}},
            },
        )

    def do_GET(self):
        self._say(404, {})

    def log_message(self, *_):
        pass

    def _say(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@pytest.fixture
def url():
    _Handler.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("at_a_time", [1, 4])
def test_a_server_is_asked_every_question_once(url, at_a_time):
    workload = workloads.load("W2", BYTES, 5)
    server = Server(workload, url, at_a_time=at_a_time)
    answers = list(server.answer(workload.questions, lambda: False))
    assert sorted(answer.key for answer in answers) == sorted(question.key for question in workload.questions)
    assert server.tokens() == (20 * len(answers), 5 * len(answers))
    assert {body["temperature"] for body in _Handler.asked} == {0}
    assert _Handler.asked[0]["response_format"]["json_schema"]["schema"] == json.loads(
        workload.tasks[0].schema.json_schema
    )
    assert not answers[0].valid


def test_a_server_that_refuses_ends_the_cell_with_its_words(url):
    workload = workloads.load("W2", BYTES, 1)
    question = workload.questions[0]
    failing = type(question)(question.document, 0, type(question.chunk)("d", 0, 0, 4, "fail"), 10)
    with pytest.raises(NotHereError, match="503"):
        list(Server(workload, url, at_a_time=2).answer([failing], lambda: False))


def test_every_slot_of_a_server_is_warmed(url):
    workload = workloads.load("W3", BYTES, 1)
    server = Server(workload, url, at_a_time=4)
    assert len([*server.answer(warm_up(workload, server.caches), lambda: False)]) == 12
    assert [question.task for question in warm_up(workload, 2)] == [0, 0, 1, 1, 2, 2]


def test_nothing_is_asked_of_a_server_when_the_time_is_over(url):
    workload = workloads.load("W2", BYTES, 5)
    assert list(Server(workload, url, at_a_time=4).answer(workload.questions, lambda: True)) == []
    assert _Handler.asked == []


@pytest.mark.parametrize("name", workloads.NAMES)
def test_the_warm_up_asks_each_task_once_and_briefly(name):
    workload = workloads.load(name, BYTES, 2)
    assert [question.task for question in workload.warm_up] == [*range(len(workload.tasks))]
    assert {question.most for question in workload.warm_up} == {workloads.WARM_UP}
    budgets = [task.options.max_answer_tokens for task in workload.tasks]
    assert all(question.most == budgets[question.task] for question in workload.questions)


def test_a_program_that_is_no_server_is_the_reason_of_an_empty_cell(tmp_path):
    workload = workloads.load("W2", BYTES, 1)
    with pytest.raises(NotHereError, match="cannot be started"):
        LlamaServer(workload, BYTES, tmp_path / "absent", tmp_path, at_a_time=1, threads=1, flash_attention=True)
    with pytest.raises(NotHereError, match="before it was ready"):
        LlamaServer(workload, BYTES, Path("/bin/false"), tmp_path, at_a_time=1, threads=1, flash_attention=True)


@pytest.mark.parametrize(("flash", "told"), [(True, "on"), (False, "off")])
def test_rivals_are_started_with_flash_attention_as_it_was_wished(flash, told, tmp_path):
    workload = workloads.load("W2", BYTES, 1)
    program = tmp_path / "server"
    program.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/told"\nexit 1\n')
    program.chmod(0o700)
    with pytest.raises(NotHereError):
        LlamaServer(workload, BYTES, program, tmp_path, at_a_time=1, threads=1, flash_attention=flash)
    assert f" -fa {told} " in (tmp_path / "told").read_text()

    model = write_model(tmp_path, "llama")
    rival = HighLevel(workload, model, BYTES, Meter(), threads=1, flash_attention=flash)
    rival.close()
    assert rival.settings["flash_attn"] is flash


def test_only_this_machine_is_asked():
    assert address("http://127.0.0.1:8080") == ("127.0.0.1", 8080, "/v1")
    assert address("http://[::1]:9/v1/") == ("::1", 9, "/v1")
    for wrong in ("http://192.0.2.1", "http://example.org", "https://127.0.0.1", "127.0.0.1:8080"):
        with pytest.raises(ValueError):
            address(wrong)


def test_llama_servers_own_count_of_evaluated_tokens_comes_first():
    usage = {"prompt_tokens": 90, "prompt_tokens_details": {"cached_tokens": 70}}
    assert prompt_evaluated({"timings": {"prompt_n": 12}, "usage": usage}) == 12
    assert prompt_evaluated({"usage": usage}) == 20
    assert prompt_evaluated({"usage": {"prompt_tokens": 90}}) is None


def test_the_boundary_of_a_child_is_counted_for_the_prompts_alone():
    builder = PromptBuilder(load_task(str(workloads.TASKS / "small.toml")), BYTES)
    prompts = [builder.prompt(f"note {number}", f"key {number}") for number in range(4)]
    sizes = Sizes(cells=4000, max_sequences=64, max_batch=512, max_outputs=64, ubatch=512, threads=1)
    spec = EngineSpec(None, "batched", "llguidance", Resolved(slots=2, forks=0, fork_cells=0, sizes=sizes))
    two = replace(spec, shape=replace(spec.shape, replicas=2))
    taken = measure_boundary(spec, prompts[:1], prompts[1:], rounds=1, several=two)
    assert 0 < taken.spent[0] < taken.child[0]
    assert taken.messages[0] >= 2 * 3
    assert taken.bytes[0] > 0
    assert taken.several[0] > 0


def test_bookkeeping_does_every_document_once(tmp_path):
    decode = Scripted.decode
    figures = measure(tmp_path, 5)
    assert (figures["done"], figures["failed"], figures["second_done"], figures["second_answered"]) == (5, 0, 0, 0)
    assert figures["database_bytes_per_document"] > 0
    assert Scripted.decode is decode
