"""The doctor says what it tried, and that the main job asks nothing of the network is seen from outside, by strace."""

from __future__ import annotations

import re
import shutil

import pytest

from pipeline.run.surroundings import synchronised

SILENT = (
    "import socket; socket.socket(); s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('127.0.0.1', 9))"
)


def test_a_machine_in_order_is_said_to_be(desk):
    code, out, err = desk.call("doctor", "--db", "night.db")

    assert code == 0, out + err
    for word in ("versions", "cores", "memory", "model", "database", "guard", "temporary"):
        assert re.search(rf"^ok +{word} ", out, re.M), word
    for attempt in ("a socket from Python", "a host name", "a socket from C", "a program started from here"):
        assert re.search(rf"tried to +.*{attempt}: refused", out), attempt
    assert re.search(r"^ok +rehearsal ", out, re.M)
    assert out.endswith("In order.\n")
    assert not (desk.path / "night.db").exists()


def test_what_is_wrong_is_named_and_gives_the_exit_code(desk):
    desk.write("night.db", b"this is not a database, " * 50).chmod(0o644)
    (desk.path / ".stfolder").mkdir()

    code, out, _ = desk.call("doctor", "--db", "night.db", "--model", "none.gguf")

    assert code == 4
    assert re.search(r"^bad +model ", out, re.M)
    assert re.search(r"^bad +database .*not a SQLite database", out, re.M)
    assert re.search(r"^note +folder .*Syncthing", out, re.M)
    assert re.search(r"^bad +rehearsal ", out, re.M)


@pytest.mark.parametrize(
    ("mark", "service"),
    [
        (".dropbox.cache", "Dropbox"),
        (".stfolder", "Syncthing"),
        (".sync_0a1b.db", "Nextcloud"),
        ("OneDrive - Firm/x", "OneDrive"),
        ("Library/Mobile Documents/x", "iCloud"),
        ("plain", None),
    ],
)
def test_folders_that_others_copy_are_known(tmp_path, mark, service):
    folder = tmp_path / "all"
    (folder / mark).mkdir(parents=True)
    below = (folder / mark if "/" in mark else folder) / "deep"

    assert synchronised(below / "night.db") == service


def test_a_run_warns_of_a_folder_that_others_copy(desk):
    desk.letters(1)
    (desk.path / ".dropbox").mkdir()

    assert "Dropbox copies to other machines" in desk.run()[2]
    assert "Dropbox" not in desk.run("--quiet")[2]


# --- seen from outside


def calls_of(desk, *args: str, code: str | None = None) -> list[str]:
    """The network calls of all processes of a command, as far as the kernel's filter let them through.

    With --seccomp-bpf the processes stop at these calls only; without it a busy machine takes minutes.
    """
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not here; .ci/run installs it")
    wrap = (strace, "-f", "--seccomp-bpf", "-qq", "-e", "trace=%network", "-e", "signal=none", "-o", "trace.txt")
    process = desk.start(
        *args, wrap=wrap, **({} if code is None else {"code": code}), env={"PATH": "", "HOME": str(desk.path)}
    )
    _, err = process.communicate(timeout=250)
    lines = (desk.path / "trace.txt").read_text(errors="replace").splitlines()
    if not lines:
        pytest.skip(f"strace may not trace here: {err.decode()[-200:]}")
    return [line.split(maxsplit=1)[1] for line in lines]


def forbidden(calls: list[str]) -> list[str]:
    """Connections, addresses that something is sent to, and sockets that are not Unix ones."""
    return [
        call
        for call in calls
        if call.startswith("connect(")
        or (re.match(r"(socket|socketpair)\(", call) and not re.match(r"(socket|socketpair)\(AF_UNIX", call))
        or (call.startswith(("sendto(", "sendmsg(", "sendmmsg(")) and "sa_family" in call)
    ]


def test_the_tracer_sees_what_it_is_there_for(desk):
    assert len(forbidden(calls_of(desk, code=SILENT))) == 3


def test_the_main_job_connects_to_nothing_and_opens_no_socket_but_unix_ones(desk):
    desk.letters(3)
    desk.write("docs/page.html", "<p>Read <img src='http://192.0.2.1/x.png'> <a href='http://192.0.2.1/'>this</a>.</p>")
    desk.write(
        "docs/mail.eml", "From: a@example.org\nSubject: x\nContent-Type: text/html\n\n<img src='//192.0.2.1/'>Hi\n"
    )
    desk.write("docs/evil.xml", "<!DOCTYPE a SYSTEM 'http://192.0.2.1/a.dtd'><a>&x;</a>")

    calls = calls_of(desk, "run", "tone", "docs", "--db", "night.db", "--model", "scripted")

    assert desk.sql("SELECT count(*) > 3 FROM tone") == [(1,)]
    assert any(call.startswith("socketpair(AF_UNIX") for call in calls), "the tracer followed no child"
    assert forbidden(calls) == []


@pytest.mark.model
def test_the_real_model_connects_to_nothing_either(desk):
    desk.letters(1)

    calls = calls_of(desk, "run", "tone", "docs", "--db", "night.db", "--model", "demo", "--threads", "1")

    assert desk.sql("SELECT count(*) FROM tone") == [(1,)]
    assert forbidden(calls) == []
