"""Children killed at random moments: every request has exactly one outcome, in order, and nothing is left behind."""

import contextlib
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.errors import ChildDied
from pipeline.supervise import Supervised, map_ordered
from pipeline.supervise.process import subprocess

sys.path.append(str(Path(__file__).parents[1] / "supervise"))
import supervise_children as children


@pytest.fixture
def pids(monkeypatch):
    """The process ids of all children that are started."""
    started = []
    popen = subprocess.Popen

    def remember(*args, **kwargs):
        process = popen(*args, **kwargs)
        started.append(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", remember)
    return started


@pytest.fixture
def killer(pids):
    """A thread that kills the newest child every now and then, whatever it is doing: starting, reading, answering."""
    stop, chance = threading.Event(), random.Random(7)

    def kill():
        while not stop.wait(chance.uniform(0.0, 1.0)):
            if pids:
                try:
                    os.kill(pids[-1], chance.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT]))
                except ProcessLookupError:
                    continue

    thread = threading.Thread(target=kill)
    yield thread
    stop.set()
    thread.join()


def rounds_of_requests(count, killer, monkeypatch):
    monkeypatch.setattr("pipeline.supervise.workers.STARTS", 1000)
    requests = [("large", (number * 7919) % 100_000) for number in range(count)]
    outcomes = []
    for outcome in map_ordered(children.do, requests, name="reader", timeout=20):
        if not outcomes:
            killer.start()
        outcomes.append(outcome)
    assert [request for request, _ in outcomes] == requests
    for (_, size), answer in outcomes:
        assert isinstance(answer, ChildDied) or len(answer) == size
    return sum(isinstance(answer, ChildDied) for _, answer in outcomes)


def test_each_request_has_one_outcome_whenever_the_child_is_killed(killer, pids, monkeypatch):
    rounds_of_requests(1500, killer, monkeypatch)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_each_request_has_one_outcome_over_many_kills(killer, pids, monkeypatch):
    lost = rounds_of_requests(300_000, killer, monkeypatch)
    print(f"{len(pids)} children, {lost} requests lost")
    assert len(pids) > 200


def test_a_stream_cut_at_a_random_moment_is_a_prefix_and_then_a_death():
    chance = random.Random(7)
    for _ in range(8):
        with Supervised(children.count, 1_000_000, name="engine") as child:
            child.poll(10)
            until, received = time.monotonic() + chance.uniform(0.0, 0.1), []
            while time.monotonic() < until:
                received.append(child.recv(timeout=10))
            os.kill(child._process.pid, signal.SIGKILL)
            with contextlib.suppress(ChildDied):
                while True:
                    received.append(child.recv(timeout=10))
            with pytest.raises(ChildDied):
                child.recv(timeout=10)
            assert received == list(range(len(received)))
