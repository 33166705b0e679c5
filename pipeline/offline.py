"""The network guard: every process of ours puts it on at its entry point, before it reads a document.

`guard()` refuses every socket that is not a Unix one, in two ways:

- On Linux (x86_64, aarch64) a seccomp filter in the kernel. It holds for C code, for all threads, also those
  that run already, and for every program started from here. It cannot be taken off again.
- Everywhere an audit hook of Python. It holds for Python code only, names the module and the line that tried,
  and does not reach other programs that are started from here.

Not covered: sockets that were open before, and what another program does for us when it is asked through a Unix
socket (a name service, a desktop bus). With `allow_loopback` the kernel lets stream sockets through, since a
seccomp filter cannot see addresses; there the hook alone checks that the address is loopback.

Importing this module does nothing. It does not know what the process is for.
"""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import os
import platform
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType

from pipeline.errors import NetworkRefused

if sys.platform != "win32":
    import resource

QUIET: Mapping[str, str] = {
    "HF_HUB_OFFLINE": "1",  # huggingface_hub, which llama-cpp-python and outlines load where it is installed
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # a plugin such as logfire sees every validated value and sends it
    "GGML_NO_BACKTRACE": "1",  # else a failed assertion of llama.cpp forks a debugger over our memory
}


@dataclass(frozen=True, slots=True)
class Guarded:
    """What holds from now on in this process. `missing` says why the kernel filter is not there."""

    kernel: bool
    loopback: bool
    missing: str = ""

    def __str__(self) -> str:
        what = "no sockets but Unix ones and loopback" if self.loopback else "no sockets but Unix ones"
        by = "the kernel and by Python" if self.kernel else f"Python only ({self.missing})"
        return f"{what}: refused by {by}"


_held: Guarded | None = None
_AF_UNIX = 1  # Python on Windows has no name for it


def guard(*, allow_loopback: bool = False) -> Guarded:
    """Refuse the network from now on, in all threads. A second call can tighten the guard, not loosen it."""
    global _held  # noqa: PLW0603 - the guard is a property of the process
    if _held is not None and _held.loopback == allow_loopback:
        return _held
    if _held is not None and allow_loopback:
        raise RuntimeError("the network guard is on already and cannot be loosened")
    if _held is None:
        sys.addaudithook(_hook)
    missing = _filter_in_kernel(allow_loopback)
    _held = Guarded(kernel=not missing, loopback=allow_loopback, missing=missing)
    return _held


def quiet_environment() -> None:
    """Telemetry and update checks of our dependencies off, for this process and its children; no core dumps.

    Call it before the dependencies are imported: they read these variables once.
    """
    os.environ.update(QUIET)
    no_core_dumps()


def no_core_dumps() -> None:
    """A crash of this process leaves no copy of its memory, which holds documents."""
    if sys.platform == "win32":
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # The limit does not hold where the kernel pipes cores into a program (systemd-coredump, apport).
        # Not dumpable also means that no other process of this user can attach to us and read our memory.
        pr_set_dumpable = 4
        ctypes.CDLL(None).prctl(pr_set_dumpable, 0, 0, 0, 0)


# --- Python: the audit hook


def _hook(event: str, args: tuple[object, ...]) -> None:
    """Called by Python for each audited event, so the common case is one comparison."""
    if not event.startswith("socket."):
        return
    held = _held
    loopback = held is not None and held.loopback
    match event, args:
        case "socket.__new__", (_, int(family), int(kind), _):
            # family -1: somebody wraps a descriptor that was opened elsewhere
            streams = kind & 0xF == socket.SOCK_STREAM and family in (socket.AF_INET, socket.AF_INET6)
            if family != _AF_UNIX and not (loopback and streams):
                _refuse(f"open a socket of family {_family(family)}")
        case (("socket.connect" | "socket.sendto" | "socket.sendmsg"), (sock, address)):
            if getattr(sock, "family", None) != _AF_UNIX and not (loopback and _is_loopback(address)):
                _refuse("reach what is no loopback address such as 127.0.0.1" if loopback else "use a network socket")
        case "socket.bind", (sock, _):
            if getattr(sock, "family", None) != _AF_UNIX:
                _refuse("listen on the network")
        case (("socket.getaddrinfo" | "socket.gethostbyname" | "socket.gethostbyaddr"), (host, *_)):
            if not (loopback and _is_loopback((host,))):
                _refuse("resolve a host name")
        case "socket.getnameinfo", _:
            _refuse("resolve a host name")


def _is_loopback(address: object) -> bool:
    """A literal such as 127.0.0.1 or ::1. Not `localhost`: to look that name up may already ask a server."""
    match address:
        case (str(host), *_):
            try:
                return ipaddress.ip_address(host).is_loopback
            except ValueError:
                return False
    return False


def _family(number: int) -> str:
    try:
        return socket.AddressFamily(number).name
    except ValueError:
        return str(number)


def _refuse(what: str) -> None:
    raise NetworkRefused(
        f"{_who()} tried to {what}; Nightdesk never uses the network.",
        hint="Nothing was sent. Please report the module and the line: a dependency or we have a bug.",
    )


def _who() -> str:
    """The nearest caller outside the standard library as module:line, or else the nearest of all."""
    nearest = ""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", "?"))
        place = f"{module}:{frame.f_lineno}"
        if module.partition(".")[0] not in sys.stdlib_module_names and module != __name__:
            return place
        if module != __name__:
            nearest = nearest or place
        frame = frame.f_back
    return nearest


# --- Linux: the seccomp filter


@dataclass(frozen=True, slots=True)
class _Machine:
    """What the kernel calls this architecture, and the numbers of its calls."""

    audit: int
    seccomp: int
    socket: int
    socketpair: int


_MACHINES = {
    "x86_64": _Machine(audit=0xC000003E, seccomp=317, socket=41, socketpair=53),
    "aarch64": _Machine(audit=0xC00000B7, seccomp=277, socket=198, socketpair=199),
}
_IO_URING = (425, 426, 427)  # setup, enter, register; on every architecture. A ring opens sockets by itself.
_X32 = 0x40000000  # set in the number of each call that x86_64 takes in its 32-bit form

_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # classic BPF, linux/bpf_common.h
_ALLOW = 0x7FFF0000
_DENY = 0x00050000 | errno.EACCES
_NUMBER, _ARCH, _DOMAIN, _KIND = (
    0,
    4,
    16,
    24,
)  # offsets in struct seccomp_data; our arguments are ints: 32 bits do

_Line = tuple[int, int, int, int]  # code, lines to skip if true, lines to skip if false, operand


class _Instruction(ctypes.Structure):
    """struct sock_filter"""

    _fields_ = (
        ("code", ctypes.c_ushort),
        ("if_true", ctypes.c_ubyte),
        ("if_false", ctypes.c_ubyte),
        ("operand", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.POINTER(_Instruction)))


def _program(machine: _Machine, allow_loopback: bool) -> list[_Line]:
    """The filter, top to bottom."""
    allow, deny = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _DENY)
    lines = [
        *[(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, machine.audit), deny],  # int 0x80 has other numbers
        *[(_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _X32), deny],
        *[line for number in _IO_URING for line in ((_EQUAL, 0, 1, number), deny)],
        *[(_EQUAL, 2, 0, machine.socket), (_EQUAL, 1, 0, machine.socketpair), allow],
        *[(_LOAD, 0, 0, _DOMAIN), (_EQUAL, 0, 1, _AF_UNIX), allow],
    ]
    if allow_loopback:  # streams only: no datagram, so no DNS query
        lines += [(_EQUAL, 1, 0, socket.AF_INET), (_EQUAL, 0, 4, socket.AF_INET6)]
        lines += [(_LOAD, 0, 0, _KIND), (_AND, 0, 0, 0xF), (_EQUAL, 0, 1, socket.SOCK_STREAM), allow]
    return [*lines, deny]


def _filter_in_kernel(allow_loopback: bool) -> str:
    """Installs the filter in all threads. Returns why not, or nothing."""
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux":
        return f"no kernel filter on {platform.system()}"
    if machine is None or sys.maxsize < 2**32:
        return f"no kernel filter for this Python on {platform.machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    pr_set_no_new_privs, set_mode_filter, all_threads = 38, 1, 1
    lines = _program(machine, allow_loopback)
    program = _Program(len(lines), (_Instruction * len(lines))(*(_Instruction(*line) for line in lines)))
    if libc.prctl(pr_set_no_new_privs, 1, 0, 0, 0) != 0:
        return f"the kernel refused no_new_privs: {os.strerror(ctypes.get_errno())}"
    answer = libc.syscall(
        *(ctypes.c_long(number) for number in (machine.seccomp, set_mode_filter, all_threads)),
        ctypes.byref(program),
    )
    if answer > 0:
        return f"thread {answer} has a filter of its own"
    if answer < 0:
        return f"the kernel refused the filter: {os.strerror(ctypes.get_errno())}"
    return ""
