"""What the supervised children of these tests do. Imports stay light: each child pays for them."""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from pipeline.errors import ItemError, PromptTooLong, ReadError

MARKER = "MARKER-OF-A-DOCUMENT"


# --- targets: fn(channel, ...)


def echo(channel, prefix=""):
    while True:
        channel.send(prefix + channel.recv())


def count(channel, numbers, pause=0.0):
    for number in range(numbers):
        channel.send(number)
        time.sleep(pause)


def finish_only_when_closed(channel, path):
    try:
        channel.recv()
    finally:
        Path(path).write_text("closed in order")


def beat_then_answer(channel, beats, pause):
    channel.recv()
    for _ in range(beats):
        channel.beat()
        time.sleep(pause)
    channel.send("done")


def beat_fast(channel, beats):
    for _ in range(beats):
        channel.beat()
    channel.send("done")


def swap_large(channel, size):
    """Sends before it reads, as the parent does: a deadlock where either side blocks."""
    channel.send(b"x" * size)
    channel.send(len(channel.recv()))


def send_then_die(channel, numbers):
    for number in range(numbers):
        channel.send(number)
    os.kill(os.getpid(), signal.SIGKILL)


def raw(channel, data):
    channel._socket.sendall(data)
    channel.recv()


class Unreadable:
    def __reduce__(self):
        return (explode, ())


def explode():
    raise RuntimeError(MARKER)


def send_unreadable(channel):
    channel.send(Unreadable())
    channel.recv()


def ignore_everything(channel):
    while True:
        time.sleep(1)


def close_and_stay(channel):
    os.close(channel._socket.fileno())
    time.sleep(60)


def report(channel):
    """What holds in a child."""
    try:
        socket.socket()
        network = "open"
    except Exception as error:
        network = type(error).__name__
    channel.send(
        {
            "network": network,
            "environment": os.environ.get("GGML_NO_BACKTRACE"),
            "signals": [
                signal.getsignal(number) is signal.SIG_IGN for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            ],
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "own session": os.getsid(0) == os.getpid(),
            "first to go": Path("/proc/self/oom_score_adj").read_text().strip(),
            "descriptors": len(list(Path("/dev/fd").iterdir())) - 1,
            "handed on": os.get_inheritable(channel._socket.fileno()),
            "stdin": os.read(0, 1),
            "main": sys.modules["__main__"].__dict__.get("__file__"),
            "path": list(sys.path),
        }
    )
    channel.recv()


def start_grandchild(channel):
    grandchild = subprocess.Popen(["sleep", "60"])
    channel.send(grandchild.pid)
    ignore_everything(channel)


def fork_and_die(channel):
    """The grandchild holds the channel open, so that its end is not seen there."""
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
    channel.send(pid)
    os.kill(os.getpid(), signal.SIGKILL)


def announce_and_hang(channel, in_c):
    channel.send(os.getpid())
    if in_c:
        ctypes.PyDLL(None).sleep(60)  # PyDLL: holds the GIL, as a C extension that never returns does
    while True:
        pass


# --- handlers: fn(request)


def do(request):
    """Does what the request says, so that one worker can meet everything."""
    what, *rest = request
    return globals()[f"do_{what}"](*rest)


def do_echo(value):
    return value


def do_pid():
    return os.getpid()


def do_segfault():
    ctypes.string_at(0)


def do_abort():
    os.abort()


def do_kill():
    os.kill(os.getpid(), signal.SIGKILL)


def do_exit(code):
    sys.exit(code)


def do_c_exit(code):
    os._exit(code)


def do_assertion():
    os.write(2, b"noise " + MARKER.encode() + b"\n/build/llama.cpp/ggml/src/ggml.c:4711: GGML_ASSERT(a == b) failed\n")
    os.abort()


def do_bad_alloc():
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def do_eat(size):
    held = []
    while len(held) * (1 << 24) < size:
        held.append(bytearray(1 << 24))
    return len(held)


def do_eat_in_c(size):
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    return libc.malloc(ctypes.c_size_t(size)) is None


def do_map_file(path, size):
    import mmap

    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) as mapped:
        return mapped[size - 1]


kept = []


def do_keep(size):
    kept.append(bytearray(b"x") * size)
    return os.getpid()


def do_sleep(seconds):
    time.sleep(seconds)
    return seconds


def do_spin():
    while True:
        pass


def do_hang_in_c():
    ctypes.PyDLL(None).sleep(60)


def do_print(size):
    line = (MARKER + "\n").encode()
    for descriptor in (1, 2):
        data = line * (size // len(line))
        while data:
            data = data[os.write(descriptor, data) :]
    print(MARKER)
    print(MARKER, file=sys.stderr)
    return "printed"


def do_tty():
    try:
        return Path("/dev/tty").open("w").fileno()
    except OSError as error:
        return error.errno


def do_raise_read_error():
    raise ReadError("The file is encrypted.", code="encrypted", hint="Give a password.")


def do_raise_prompt_too_long():
    raise PromptTooLong("too long")


def do_raise_key_error():
    try:
        raise ValueError(MARKER)
    except ValueError:
        {}[MARKER]


def do_raise_unpicklable():
    error = ItemError("an error")
    error.lock = threading.Lock()
    raise error


def do_unpicklable():
    return threading.Lock()


def do_large(size):
    return b"x" * size


def do_recursion():
    return do_recursion()


def do_die_later(seconds):
    def die():
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=die, daemon=True).start()
    return os.getpid()


def do_thread_traceback():
    def fail():
        raise ValueError(MARKER)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    return "survived"
