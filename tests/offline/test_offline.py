"""Every law is tried in a real process of its own: a guard cannot be taken off again."""

import os
import platform
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel filter exists on Linux only")

# Each attempt prints what happened; `tried(name, call)` never lets an exception out.
PREAMBLE = """
import ctypes, errno, os, socket, sys, threading
from pipeline.offline import guard, no_core_dumps, quiet_environment
from pipeline.errors import NetworkRefused
libc = ctypes.CDLL(None, use_errno=True)
def tried(name, call):
    try:
        result = call()
    except BaseException as error:
        print(name, type(error).__name__)
    else:
        if isinstance(result, int) and result < 0:
            print(name, errno.errorcode[ctypes.get_errno()])
        else:
            print(name, "done")
def c_socket(family, kind=1):
    ctypes.set_errno(0)
    return libc.socket(family, kind, 0)
"""


def process(code: str, *, guarded: str = "guard()", timeout: float = 20) -> list[str]:
    """What a process prints that puts on the guard and then runs `code`."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + guarded + "\n" + textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_without_the_guard_the_same_code_opens_sockets():
    code = """
    tried("python", lambda: socket.socket())
    tried("c", lambda: c_socket(socket.AF_INET))
    """
    assert process(code, guarded="") == ["python done", "c done"]


def test_a_python_socket_is_refused_by_name_whatever_its_family():
    code = """
    for family in ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG"):
        if hasattr(socket, family):
            tried(family, lambda: socket.socket(getattr(socket, family), socket.SOCK_DGRAM))
    tried("wrapped", lambda: socket.socket(fileno=0))
    """
    lines = process(code)
    assert len(lines) >= 3
    assert {line.split()[1] for line in lines} == {"NetworkRefused"}


def test_names_are_not_resolved():
    code = """
    tried("getaddrinfo", lambda: socket.getaddrinfo("example.org", 80))
    tried("gethostbyname", lambda: socket.gethostbyname("example.org"))
    tried("gethostbyname_ex", lambda: socket.gethostbyname_ex("example.org"))
    tried("gethostbyaddr", lambda: socket.gethostbyaddr("192.0.2.1"))
    tried("getnameinfo", lambda: socket.getnameinfo(("192.0.2.1", 80), 0))
    """
    assert {line.split()[1] for line in process(code)} == {"NetworkRefused"}


def test_the_refusal_names_the_module_and_the_line_and_not_the_address(tmp_path):
    (tmp_path / "telemetry.py").write_text(
        "import urllib.request\n\ndef report(what):\n    urllib.request.urlopen('http://192.0.2.1/' + what)\n"
    )
    code = f"""
    sys.path.insert(0, {str(tmp_path)!r})
    import telemetry
    try:
        telemetry.report("MARKER")
    except NetworkRefused as error:
        print(error, "|", error.hint)
    """
    [line] = process(code)
    assert line.startswith("telemetry:4 tried to ")
    assert "MARKER" not in line
    assert "192.0.2.1" not in line


def test_a_library_that_catches_oserror_does_not_swallow_the_refusal():
    code = """
    try:
        try:
            socket.create_connection(("192.0.2.1", 80))
        except OSError:
            print("swallowed")
    except NetworkRefused:
        print("seen")
    """
    assert process(code) == ["seen"]


@linux
def test_c_code_is_refused_sockets_socketpairs_and_io_uring():
    code = """
    tried("inet", lambda: c_socket(2))
    tried("inet6", lambda: c_socket(10))
    tried("netlink", lambda: c_socket(16, 3))
    pair = (ctypes.c_int * 2)()
    tried("socketpair", lambda: libc.socketpair(2, 1, 0, pair))
    tried("high bits", lambda: libc.syscall(41 if os.uname().machine == "x86_64" else 198,
                                            ctypes.c_long(2), ctypes.c_long(1), ctypes.c_long(0)))
    for call in (425, 426, 427):
        tried("io_uring", lambda: libc.syscall(call, 8, None, 0, 0))
    """
    assert {line.split()[-1] for line in process(code)} == {"EACCES"}


@linux
@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 and int 0x80 exist on x86_64 only")
def test_the_calls_of_foreign_architectures_are_refused(tmp_path):
    code = """
    tried("x32", lambda: libc.syscall(0x40000000 + 41, 2, 1, 0))
    """
    assert process(code) == ["x32 EACCES"]
    # i386: socket(AF_INET, SOCK_STREAM, 0) through int 0x80, as machine code
    code = """
    import mmap
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(bytes.fromhex("53 b867010000 bb02000000 b901000000 ba00000000 cd80 5b c3"))
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    result = call()
    print(errno.errorcode[-result] if result < 0 else "done")
    os._exit(0) if sys.stdout.flush() is None else None
    """
    assert process(code) == ["EACCES"]


@linux
def test_the_resolver_of_the_c_library_reaches_nothing():
    code = """
    result = ctypes.c_void_p()
    failed = libc.getaddrinfo(b"example.org", b"80", None, ctypes.byref(result))
    print("refused" if failed else "resolved")
    """
    assert process(code) == ["refused"]


@linux
def test_threads_that_ran_before_the_guard_are_covered():
    code = """
    go, results = threading.Event(), []
    def early():
        go.wait()
        results.append((c_socket(2), errno.errorcode.get(ctypes.get_errno())))
    threads = [threading.Thread(target=early) for _ in range(4)]
    for thread in threads: thread.start()
    held = guard()
    go.set()
    for thread in threads: thread.join()
    print(results == [(-1, "EACCES")] * 4, held.kernel)
    """
    assert process(code, guarded="") == ["True True"]


@linux
def test_programs_started_from_a_guarded_process_are_covered():
    code = """
    import subprocess
    child = "import socket\\ntry: socket.socket(); print('done')\\nexcept PermissionError: print('refused')"
    print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout.strip())
    """
    assert process(code) == ["refused"]


def test_unix_sockets_pipes_and_multiprocessing_still_work(tmp_path):
    code = f"""
    import multiprocessing
    left, right = socket.socketpair()
    left.sendall(b"a"); print(right.recv(1))
    server = socket.socket(socket.AF_UNIX); server.bind({str(tmp_path / "s")!r}); server.listen()
    client = socket.socket(socket.AF_UNIX); client.connect({str(tmp_path / "s")!r})
    accepted, _ = server.accept()
    client.sendall(b"b"); print(accepted.recv(1))
    ours, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    child = spawn.Process(target=print, args=("child",), kwargs={{"flush": True}})
    child.start(); child.join()
    ours.send("c"); print(theirs.recv())
    """
    assert process(code) == ["b'a'", "b'b'", "child", "c"]


def test_putting_the_guard_on_twice_is_the_same_as_once():
    code = """
    held = guard()
    print(held is guard())
    if sys.platform == "linux":
        print(open("/proc/self/status").read().split("Seccomp_filters:")[1].split()[0])
    else:
        print(1)
    """
    assert process(code) == ["True", "1"]


def test_the_guard_can_be_tightened_but_never_loosened():
    code = """
    guard(allow_loopback=True)
    held = guard()
    tried("python", lambda: socket.socket())
    tried("c", lambda: c_socket(2))
    tried("loosened", lambda: guard(allow_loopback=True))
    print(held.loopback)
    """
    refused = "EACCES" if sys.platform == "linux" else "done"
    assert process(code, guarded="") == [
        "python NetworkRefused",
        f"c {refused}",
        "loosened RuntimeError",
        "False",
    ]


@pytest.fixture
def echo():
    """A server on 127.0.0.1 that answers one byte to everybody; in this process, which has no guard."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"!")

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_loopback_is_allowed_on_demand_and_nothing_beyond_it(echo):
    code = f"""
    with socket.create_connection(("127.0.0.1", {echo}), timeout=5) as there:
        print(there.recv(1))
    tried("outside", lambda: socket.create_connection(("192.0.2.1", 80), timeout=5))
    tried("all", lambda: socket.socket().connect(("0.0.0.0", {echo})))
    tried("name", lambda: socket.create_connection(("localhost", {echo})))
    tried("connect to a name", lambda: socket.socket().connect(("localhost", {echo})))
    tried("connect_ex", lambda: socket.socket().connect_ex(("192.0.2.1", 80)))
    tried("datagram", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    tried("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW))
    tried("server", lambda: socket.socket().bind(("127.0.0.1", 0)))
    tried("netlink", lambda: socket.socket(getattr(socket, "AF_NETLINK", 16), socket.SOCK_DGRAM))
    """
    lines = process(code, guarded="guard(allow_loopback=True)")
    assert lines[0] == "b'!'"
    assert {line.split()[-1] for line in lines[1:]} == {"NetworkRefused"}
    assert len(lines) == 10


@linux
def test_with_loopback_the_kernel_still_refuses_c_code_all_but_streams():
    code = """
    tried("stream", lambda: c_socket(2))
    tried("stream with flags", lambda: c_socket(2, 1 | 0o2000000 | 0o4000))
    tried("datagram", lambda: c_socket(2, 2))
    tried("raw", lambda: c_socket(2, 3))
    tried("netlink", lambda: c_socket(16, 3))
    """
    assert [line.split()[-1] for line in process(code, guarded="guard(allow_loopback=True)")] == [
        "done",
        "done",
        "EACCES",
        "EACCES",
        "EACCES",
    ]


def test_importing_the_library_puts_no_guard_on():
    code = """
    import pipeline.offline
    tried("python", lambda: socket.socket())
    """
    assert process(code, guarded="") == ["python done"]


def test_the_guard_says_what_holds():
    [words] = process("print(guard())")
    if sys.platform == "linux":
        assert words == "no sockets but Unix ones: refused by the kernel and by Python"
    else:
        assert words.startswith("no sockets but Unix ones: refused by Python only")


def test_where_the_kernel_takes_no_filter_the_hook_holds_and_the_guard_says_so():
    code = """
    import pipeline.offline
    pipeline.offline._MACHINES.clear()
    held = guard()
    print(held.kernel, held)
    tried("python", lambda: socket.socket())
    """
    first, second = process(code, guarded="")
    assert first.startswith("False no sockets but Unix ones: refused by Python only (")
    assert second == "python NetworkRefused"


def test_telemetry_is_off_and_crashes_leave_no_core_file(tmp_path):
    code = f"""
    import resource
    for name in ("HF_HUB_OFFLINE", "DO_NOT_TRACK", "GGML_NO_BACKTRACE"):
        print(os.environ[name])
    os.chdir({str(tmp_path)!r})
    if os.fork() == 0:
        os.abort()
    print(os.WCOREDUMP(os.wait()[1]), *resource.getrlimit(resource.RLIMIT_CORE))
    """
    allowed = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)); "
    assert process(code, guarded=allowed + "quiet_environment()") == ["1", "1", "1", "False 0 0"]
    assert not list(tmp_path.iterdir())


@linux
def test_no_other_process_of_the_user_reads_the_memory_of_ours():
    code = """
    PR_GET_DUMPABLE = 3
    print(libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))
    """
    assert process(code, guarded="") == ["1"]
    assert process(code, guarded="no_core_dumps()") == ["0"]


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give it up")
def test_an_ordinary_user_is_guarded_too():
    code = """
    os.setgid(65534); os.setuid(65534)
    quiet_environment()
    print(guard().kernel, len(os.listdir("/proc/self/fd")) > 2)
    tried("c", lambda: c_socket(2))
    """
    assert process(code, guarded="") == ["True True", "c EACCES"]
