"""One child, seen from its parent, in real processes."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import supervise_children as children

from pipeline.errors import ChildDied, ChildFailed, ChildHung
from pipeline.supervise import Supervised
from pipeline.supervise.wire import HEADER, Kind

ROOT = Path(__file__).parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")


def gone(pid: int, within: float = 2.0) -> bool:
    """Whether the process has ended (a zombie has)."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_child_answers_and_ends_in_order(tmp_path):
    with Supervised(children.echo, "> ", name="echo") as child:
        assert child.ask("a", timeout=5) == "> a"
        assert child.ask("b", timeout=5) == "> b"
        pid = child._process.pid
    assert not child.alive
    assert gone(pid)

    with Supervised(children.finish_only_when_closed, str(tmp_path / "f"), name="closing"):
        pass
    assert (tmp_path / "f").read_text() == "closed in order"


def test_messages_stream_in_order_and_poll_does_not_take_them():
    with Supervised(children.count, 1000, name="counter") as child:
        assert child.poll(10)
        assert child.poll(0)
        assert [child.recv(timeout=5) for _ in range(1000)] == list(range(1000))


def test_poll_waits_no_longer_than_it_was_told():
    with Supervised(children.echo, name="echo") as child:
        assert not child.poll(0.0)
        assert not child.poll(0.05)


def test_both_sides_may_send_more_than_a_pipe_holds_at_the_same_time():
    size = 3_000_000
    with Supervised(children.swap_large, size, name="swap") as child:
        child.send(b"y" * size)
        assert len(child.recv(timeout=10)) == size
        assert child.recv(timeout=10) == size


def test_sending_to_a_child_that_does_not_read_does_not_block():
    with Supervised(children.ignore_everything, name="deaf") as child:
        for _ in range(20):
            child.send(b"x" * 1_000_000)
        child.stop(grace=0.0)


@linux
def test_what_holds_in_a_child():
    with Supervised(children.report, name="report") as child:
        report = child.recv(timeout=10)
    assert report["network"] == "NetworkRefused"
    assert report["environment"] == "1"
    assert report["signals"] == [True, True, True]
    assert report["core"] == (0, 0)
    assert report["own session"]
    assert report["first to go"] == "800"
    assert report["descriptors"] == 4  # the three standard ones and the channel
    assert not report["handed on"]
    assert report["stdin"] == b""
    assert report["main"] is None
    assert report["path"] == sys.path


def test_nothing_in_the_working_directory_is_imported_by_a_child(tmp_path, monkeypatch):
    for name in ("json", "random", "struct", "pickle"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w').close()\nraise SystemExit(7)\n")
    monkeypatch.chdir(tmp_path)
    with Supervised(children.echo, name="echo") as child:
        assert child.ask("a", timeout=10) == "a"
    assert not (tmp_path / "imported").exists()


def test_beats_are_signs_of_life():
    with Supervised(children.beat_then_answer, 6, 0.15, name="slow") as child:
        assert child.ask("go", timeout=0.6) == "done"


def test_beats_are_so_rare_that_nobody_need_read_them():
    with Supervised(children.beat_fast, 1_000_000, name="fast") as child:
        assert child.recv(timeout=20) == "done"
        assert child.boundary.messages == 2  # the target, and `done`


def test_silence_is_a_hang_and_the_child_is_killed():
    with Supervised(children.beat_then_answer, 0, 0.0, name="reader") as child:
        with pytest.raises(ChildHung, match="The reader process gave no sign of life for 0\\.2 seconds"):
            child.recv(timeout=0.2)
        assert not child.alive


@pytest.mark.parametrize("in_c", [False, True], ids=["in Python", "in C with the GIL"])
def test_a_hang_wherever_it_is_ends(in_c):
    with Supervised(children.announce_and_hang, in_c, name="engine") as child:
        pid = child.recv(timeout=10)
        with pytest.raises(ChildHung):
            child.recv(timeout=0.1)
        assert gone(pid)


def test_what_arrived_before_the_death_is_received_before_it_is_reported():
    with Supervised(children.send_then_die, 500, name="engine") as child:
        for number in range(500):
            assert child.recv(timeout=10) == number
        with pytest.raises(ChildDied) as caught:
            child.recv(timeout=10)
        assert caught.value.exitcode == -signal.SIGKILL
        assert caught.value.code == "killed"
        with pytest.raises(ChildDied):
            child.recv(timeout=10)


def test_what_arrived_before_a_hang_is_not_lost_with_it():
    with Supervised(children.count, 3, 0.3, name="engine") as child:
        assert child.recv(timeout=10) == 0
        time.sleep(0.45)
        child.kill()
        assert child.recv(timeout=1) == 1
        with pytest.raises(ChildDied, match="ended by this process"):
            child.recv(timeout=1)


def test_a_child_that_ends_too_early_is_dead():
    with Supervised(children.count, 1, name="counter") as child:
        assert child.recv(timeout=10) == 0
        with pytest.raises(ChildDied, match="exit code 0"):
            child.recv(timeout=10)


def test_restart_begins_afresh_and_forgets_what_the_old_one_sent():
    with Supervised(children.echo, name="echo") as child:
        first = child._process.pid
        child.ask("a", timeout=10)
        child.send("old")
        child.restart()
        assert child.ask("new", timeout=10) == "new"
        assert child._process.pid != first
        assert gone(first)


GARBAGE = {
    "random bytes": bytes(range(64, 128)),
    "zeros": bytes(1000),
    "text": b"llama_model_loader: loaded meta data with 30 key-value pairs\n",
    "no pickle": HEADER.pack(Kind.MESSAGE, 10, 0.0) + b"0123456789",
    "an empty pickle": HEADER.pack(Kind.MESSAGE, 0, 0.0),
    "a pickle cut short": HEADER.pack(Kind.MESSAGE, 3, 0.0) + b"\x80\x05K",
    "raised what is no error": HEADER.pack(Kind.RAISED, 5, 0.0) + b"\x80\x05K\x01.",
    "longer than anything": HEADER.pack(Kind.MESSAGE, 1 << 62, 0.0),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage_ends_the_child_and_is_named(data):
    with Supervised(children.raw, data, name="engine") as child:
        with pytest.raises(ChildDied, match="no message") as caught:
            child.recv(timeout=10)
        assert caught.value.code == "garbage"
        assert not child.alive


def test_a_message_that_cannot_be_read_here_is_garbage_and_says_nothing_of_its_content():
    with Supervised(children.send_unreadable, name="engine") as child:
        with pytest.raises(ChildDied) as caught:
            child.recv(timeout=10)
        assert children.MARKER not in str(caught.value)


def test_a_target_that_cannot_be_imported_is_told_at_once():
    with Supervised(children.echo, name="echo") as child:
        child.stop()
        child._target = (Unimportable(), ())
        child.start()
        with pytest.raises(ChildFailed, match="The echo process could not start: ModuleNotFoundError"):
            child.recv(timeout=10)


class Unimportable:
    __module__ = "nowhere"

    def __reduce__(self):
        return (__import__, ("no_such_module_anywhere",))


def test_a_target_of_main_is_refused_with_the_reason():
    target = type(children.echo)(children.echo.__code__, {"__name__": "__main__"})
    with pytest.raises(ValueError, match="__main__"):
        Supervised(target, name="main")


@linux
def test_a_child_that_will_not_end_is_killed_with_what_it_started():
    with Supervised(children.start_grandchild, name="stubborn") as child:
        grandchild = child.recv(timeout=10)
        child.stop(grace=0.1)
    assert gone(grandchild)


@linux
def test_a_death_is_seen_though_what_the_child_started_holds_its_channel_open():
    with Supervised(children.fork_and_die, name="forking") as child:
        grandchild = child.recv(timeout=10)
        with pytest.raises(ChildDied) as caught:
            child.recv(timeout=10)
        assert caught.value.exitcode == -signal.SIGKILL
        assert gone(grandchild)


def test_a_child_that_closes_its_channel_and_stays_is_killed(monkeypatch):
    monkeypatch.setattr("pipeline.supervise.process.LINGER", 0.2)
    with Supervised(children.close_and_stay, name="odd") as child:
        with pytest.raises(ChildDied):
            child.recv(timeout=10)
        assert gone(child._process.pid)


def test_signals_to_the_group_do_not_reach_the_child():
    with Supervised(children.echo, name="echo") as child:
        child.ask("a", timeout=10)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(child._process.pid, number)
        assert child.ask("b", timeout=5) == "b"


PARENT = """
import sys, time
sys.path[:] = {path!r}
import supervise_children as children
from pipeline.supervise import Supervised
child = Supervised(children.announce_and_hang, {in_c}, name="engine")
child.start()
print(child.recv(timeout=20), flush=True)
time.sleep(60)
"""


@linux
@pytest.mark.parametrize("in_c", [False, True], ids=["in Python", "in C with the GIL"])
def test_a_child_ends_within_a_second_of_a_parent_that_is_killed(in_c):
    code = PARENT.format(path=sys.path, in_c=in_c)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
        assert gone(pid, within=1.0)


def test_where_the_kernel_does_not_tell_a_thread_watches_for_the_parents_end():
    code = textwrap.dedent("""
        import os, sys, time
        if os.fork() == 0:
            if os.fork() == 0:
                from pipeline.supervise import child
                sys.platform = "elsewhere"
                child.end_with(os.getppid())
                print(os.getpid(), flush=True)
                time.sleep(60)
            time.sleep(1)
            os._exit(0)
        os.wait()
    """)
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        parent.wait(10)
        assert gone(pid)


def test_the_cost_of_the_boundary_is_counted_over_restarts():
    with Supervised(children.echo, name="echo") as child:
        child.ask("a" * 1_000_000, timeout=10)
        before = child.boundary
        assert before.messages == 3  # the target, the request, the answer
        assert before.bytes > 2_000_000
        assert 0 < before.seconds < 5
        child.restart()
        child.ask("a", timeout=10)
        assert child.boundary.messages == 6
        assert child.boundary.seconds > before.seconds


def test_no_thread_and_no_descriptor_is_left(tmp_path):
    def held():
        return len(list(Path("/dev/fd").iterdir())), threading.active_count()

    before = held()
    for _ in range(3):
        with Supervised(children.echo, name="echo") as child:
            child.ask("a", timeout=10)
            child.restart()
    assert held() == before
