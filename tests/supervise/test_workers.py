"""Requests answered in children: what goes wrong with one costs that one only."""

import errno
import itertools
import os
import subprocess
import sys
import time

import pytest
import supervise_children as children

from pipeline.errors import ChildDied, ChildError, ChildFailed, ChildHung, PromptTooLong, ReadError
from pipeline.supervise import Worker, map_ordered, workers

linux = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")
MB = 1 << 20
SMALL = 300 * MB


@pytest.fixture(scope="module")
def worker():
    """One worker for many tests: that it goes on after each is part of what they show."""
    worker = Worker(children.do, name="reader", timeout=10, memory=SMALL)
    yield worker
    worker.close()


def test_one_process_answers_many_requests(worker):
    assert len({worker.ask(("pid",)) for _ in range(200)}) == 1


LOST = {
    "segmentation fault": (("segfault",), "crashed", "segmentation fault, at ctypes/__init__.py:", -11),
    "abort": (("abort",), "crashed", "it aborted, .*, at supervise/supervise_children.py:", -6),
    "assertion": (("assertion",), "crashed", "it aborted, .*, at ggml.c:4711", -6),
    "killed": (("kill",), "killed", "probably because the machine's memory ended", -9),
    "exit in C": (("c_exit", 7), "crashed", "exit code 7", 7),
    "exit 0 in C": (("c_exit", 0), "crashed", "exit code 0", 0),
    "memory in C++": (("bad_alloc",), "memory", "no memory left", -6),
    "memory": (("eat", 2 * SMALL), "memory", "it needed more memory than it may use", None),
}


@pytest.mark.parametrize(("request_", "code", "words", "exitcode"), LOST.values(), ids=LOST)
@linux
def test_a_lost_child_is_named_and_replaced(worker, request_, code, words, exitcode):
    before = worker.ask(("pid",))
    with pytest.raises(ChildDied, match=words) as caught:
        worker.ask(request_)
    assert caught.value.code == code
    assert caught.value.exitcode == exitcode
    assert children.MARKER not in str(caught.value)
    assert worker.ask(("pid",)) != before


@pytest.mark.parametrize("request_", [("sleep", 60), ("spin",), ("hang_in_c",)], ids=lambda r: r[0])
def test_a_hang_costs_its_time_and_no_more(request_):
    with_little_time = Worker(children.do, name="reader", timeout=0.3)
    try:
        before = with_little_time.ask(("pid",))
        started = time.monotonic()
        with pytest.raises(ChildHung) as caught:
            with_little_time.ask(request_)
        assert time.monotonic() - started < 5
        assert caught.value.code == "hung"
        assert with_little_time.ask(("pid",)) != before
    finally:
        with_little_time.close()


@linux
def test_the_limit_holds_for_c_code_and_not_for_files_mapped_into_memory(worker, tmp_path):
    assert worker.ask(("eat_in_c", 2 * SMALL))  # malloc returned NULL
    with (tmp_path / "model").open("wb") as model:
        model.truncate(4 * SMALL)
    assert worker.ask(("map_file", str(tmp_path / "model"), 4 * SMALL)) == 0


def test_a_named_error_travels_as_itself_and_keeps_the_process(worker):
    before = worker.ask(("pid",))
    with pytest.raises(ReadError) as caught:
        worker.ask(("raise_read_error",))
    assert (str(caught.value), caught.value.code, caught.value.hint) == (
        "The file is encrypted.",
        "encrypted",
        "Give a password.",
    )
    with pytest.raises(PromptTooLong):
        worker.ask(("raise_prompt_too_long",))
    assert worker.ask(("pid",)) == before


OURS = {
    "any error": (("raise_key_error",), "KeyError at supervise_children:[0-9]+ from pipeline.supervise.workers"),
    "an answer that does not pickle": (("unpicklable",), "An answer of type lock cannot be sent"),
    "an error that does not pickle": (("raise_unpicklable",), "ItemError at supervise_children:[0-9]+"),
    "endless recursion": (("recursion",), "RecursionError at supervise_children:[0-9]+"),
    "sys.exit": (("exit", 3), "SystemExit at supervise_children:[0-9]+"),
}


@pytest.mark.parametrize(("request_", "words"), OURS.values(), ids=OURS)
def test_any_other_error_is_told_by_its_place_and_never_by_its_words(worker, request_, words):
    before = worker.ask(("pid",))
    with pytest.raises(ChildFailed, match=words) as caught:
        worker.ask(request_)
    error = caught.value
    assert error.code == "bug"
    shown = repr(error) + str(error) + error.hint + str(error.__cause__) + str(error.__context__)
    assert children.MARKER not in shown
    assert worker.ask(("pid",)) == before


def test_what_a_child_prints_goes_nowhere_and_blocks_nothing(tmp_path):
    code = f"""
import sys
sys.path[:] = {sys.path!r}
import supervise_children as children
from pipeline.supervise import Worker
worker = Worker(children.do, name="reader", timeout=20)
print(worker.ask(("print", 10_000_000)), worker.ask(("thread_traceback",)), worker.ask(("tty",)))
worker.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == (f"printed survived {errno.ENXIO}\n", "")
    assert not list(tmp_path.iterdir())


def test_large_answers_arrive_whole(worker):
    assert len(worker.ask(("large", 20 * MB))) == 20 * MB


def test_a_worker_that_died_while_idle_does_not_cost_the_next_request(worker):
    pid = worker.ask(("die_later", 0.05))
    time.sleep(0.3)
    assert worker.ask(("pid",)) != pid


def test_a_worker_is_replaced_after_many_requests(monkeypatch):
    monkeypatch.setattr(workers, "REPLACED_AFTER", 10)
    pids = [pid for _, pid in map_ordered(children.do, [("pid",)] * 35, name="reader", timeout=10)]
    assert [len(list(group)) for _, group in itertools.groupby(pids)] == [10, 10, 10, 5]


@linux
def test_a_worker_that_holds_much_memory_is_replaced_before_it_fails():
    requests = [("keep", 5 * MB)] * 60
    answers = [pid for _, pid in map_ordered(children.do, requests, name="reader", timeout=10, memory=SMALL)]
    assert not any(isinstance(answer, Exception) for answer in answers)
    assert 2 <= len(set(answers)) <= 4


def test_answers_come_in_the_order_of_the_requests_whoever_is_done_first():
    requests = [("sleep", 0.2), ("sleep", 0.0), ("sleep", 0.1), ("kill",), ("sleep", 0.05), ("echo", 1)]
    outcomes = list(map_ordered(children.do, requests, name="reader", timeout=10, workers=2))
    assert [request for request, _ in outcomes] == requests
    assert [type(answer) for _, answer in outcomes] == [float, float, float, ChildDied, float, int]


def test_each_request_gets_its_own_outcome_whatever_its_neighbours_do():
    requests = [
        ("echo", 0),
        ("segfault",),
        ("echo", 1),
        ("sleep", 60),
        ("raise_read_error",),
        ("unpicklable",),
        ("echo", 2),
        ("eat", 2 * SMALL),
        ("echo", 3),
    ]
    kinds = [type(answer) for _, answer in map_ordered(children.do, requests, name="reader", timeout=2, memory=SMALL)]
    assert kinds == [int, ChildDied, int, ChildHung, ReadError, ChildFailed, int, ChildDied, int]


def test_requests_are_taken_no_further_ahead_than_the_workers_need():
    taken = itertools.count()
    last = 0

    def requests():
        nonlocal last
        for last in taken:
            yield ("echo", last)

    answers = map_ordered(children.do, requests(), name="reader", timeout=10, workers=2)
    for number in range(50):
        assert next(answers) == (("echo", number), number)
        assert last <= number + 4
    answers.close()


def test_a_reader_works_while_its_consumer_does():
    answers = map_ordered(children.do, [("echo", 0), ("sleep", 0.4), ("echo", 1)], name="reader", timeout=10)
    next(answers)
    time.sleep(0.8)
    started = time.monotonic()
    next(answers)
    assert time.monotonic() - started < 0.3
    answers.close()


def test_a_consumer_that_takes_long_makes_nobody_hang():
    requests = [("echo", 0), ("large", 5 * MB), ("echo", 1)]
    answers = map_ordered(children.do, requests, name="reader", timeout=0.5)
    for _, answer in answers:
        assert not isinstance(answer, ChildError)
        time.sleep(0.8)


def test_an_error_of_the_source_comes_after_what_was_finished():
    def requests():
        yield ("echo", 0)
        yield ("echo", 1)
        raise OSError("the folder is gone")

    answers = map_ordered(children.do, requests(), name="reader", timeout=10, workers=2)
    assert [next(answers)[1], next(answers)[1]] == [0, 1]
    with pytest.raises(OSError, match="the folder is gone"):
        next(answers)


def test_no_request_no_process(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    assert list(map_ordered(children.do, [], name="reader", timeout=10)) == []


def test_a_consumer_that_stops_leaves_no_process():
    answers = map_ordered(children.do, [("pid",), ("sleep", 60)], name="reader", timeout=90)
    _, pid = next(answers)
    answers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_handler_that_cannot_be_imported_ends_the_run_and_is_no_failure_of_each_request(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "vanishing_children.py").write_text("def handler(request):\n    return request\n")
    import vanishing_children

    (tmp_path / "vanishing_children.py").write_text("raise ImportError('MARKER')\n")
    with pytest.raises(ChildFailed, match="could not start: ImportError at vanishing_children:1"):
        list(map_ordered(vanishing_children.handler, range(10_000), name="reader", timeout=10))


def test_a_child_that_dies_at_its_start_is_tried_a_few_times(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "dying_children.py"
    module.write_text("def handler(request):\n    return request\n")
    import dying_children

    starts = tmp_path / "starts"
    dies = "import os\nopen({0!r}, 'a').write('x')\nif len(open({0!r}).read()) < {1}: os._exit(1)\n"
    module.write_text(dies.format(str(starts), 3) + "def handler(request):\n    return request\n")
    assert list(map_ordered(dying_children.handler, [1, 2], name="reader", timeout=10)) == [(1, 1), (2, 2)]

    starts.unlink()
    module.write_text(dies.format(str(starts), 1000))
    with pytest.raises(ChildDied, match="exit code 1"):
        list(map_ordered(dying_children.handler, range(10_000), name="reader", timeout=10))
    assert len(starts.read_text()) == workers.STARTS
