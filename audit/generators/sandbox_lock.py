"""Takes from the running process, for good, the means to do anything but compute and answer on one pipe.

Linux only, without privileges: seccomp lets through a list of system calls (memory, threads, clocks, reading what is open, writing to
one descriptor) and answers every other one, in all threads, with "not permitted": opening or creating files, sockets, programs,
processes, signals. Limits on memory and file size stand behind it. Where this cannot be had, the caller is told and must not go on.
"""

import ctypes
import os
import platform
import resource
import socket
import struct

ALLOWED = {
    "x86_64": (0, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 28, 35, 39, 60, 63, 96, 97, 98, 99, 100, 131, 186, 202, 204, 218, 219, 228,
               230, 231, 273, 309, 318, 324, 334),
    "aarch64": (57, 62, 63, 73, 80, 93, 94, 96, 98, 99, 101, 113, 115, 123, 124, 128, 132, 134, 135, 139, 153, 160, 165, 168, 169, 172, 178,
                179, 214, 215, 216, 222, 226, 233, 278, 283, 293),
}  # fmt: skip
"""Numbers of read, close, fstat, poll, lseek, mmap, mprotect, munmap, brk, rt_sig*, sched_yield, mremap, madvise, nanosleep, getpid, exit,
uname, clocks, getrlimit, getrusage, sysinfo, sigaltstack, gettid, futex, sched_getaffinity, getcpu, getrandom, membarrier, rseq."""

NUMBERS = {"x86_64": {"arch": 0xC000003E, "write": 1, "clone": 56, "clone3": 435, "seccomp": 317},
           "aarch64": {"arch": 0xC00000B7, "write": 64, "clone": 220, "clone3": 435, "seccomp": 277}}  # fmt: skip

_ALLOW, _KILL, _NOT_PERMITTED, _NO_SUCH_CALL = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_CLONE_THREAD = 0x00010000
_PR_SET_NO_NEW_PRIVS, _FILTER, _ALL_THREADS = 38, 1, 1


class CannotLock(OSError):
    """The system has no way to fence this process in."""


def lock(answers: int, memory: int) -> None:
    """Fence the process in; afterwards it can write to the descriptor ``answers`` and nowhere else.

    Args:
        answers: an open descriptor.
        memory: bytes of address space beyond what is in use now.

    Raises:
        CannotLock: this is not Linux on x86-64 or ARM64, the kernel refuses, or an attempt to write still succeeds.
    """
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in NUMBERS:
        raise CannotLock(f"there is no fence for {platform.system()} on {machine}")
    limit = _address_space() + memory
    for kind, most in ((resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, limit)):
        resource.setrlimit(kind, (most, most))
    code = _program(machine, answers)
    libc = ctypes.CDLL(None, use_errno=True)
    steps = ctypes.create_string_buffer(code, len(code))
    whole = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(steps))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(NUMBERS[machine]["seccomp"], _FILTER, _ALL_THREADS, whole):
        raise CannotLock(f"the kernel has no seccomp filter for it ({os.strerror(ctypes.get_errno())})")
    _try_to_escape()


def _program(machine: str, answers: int) -> bytes:
    """Return the filter: a list of comparisons, each followed by its answer."""
    numbers = NUMBERS[machine]
    steps = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, numbers["arch"]), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER)]
    for number in ALLOWED[machine]:
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for number, test, value in ((numbers["write"], _EQUAL, answers), (numbers["clone"], _ANY_BIT, _CLONE_THREAD)):
        steps += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, _FIRST_ARGUMENT), (test, 0, 1, value), (_RETURN, 0, 0, _ALLOW),
                  (_RETURN, 0, 0, _NOT_PERMITTED)]  # fmt: skip
    # glibc makes threads with clone3, whose flags lie in memory where no filter sees them; without it, it takes clone.
    steps += [(_EQUAL, 0, 1, numbers["clone3"]), (_RETURN, 0, 0, _NO_SUCH_CALL), (_RETURN, 0, 0, _NOT_PERMITTED)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _address_space() -> int:
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 (no import of pathlib in the child)
        return int(file.read().split()[0]) * resource.getpagesize()


def _try_to_escape() -> None:
    attempts = {
        "write to a file": lambda: os.open("/dev/null", os.O_WRONLY),
        "read a file": lambda: os.open("/dev/null", os.O_RDONLY),
        "open a socket": lambda: socket.socket(),
        "start a process": lambda: os.fork() or os._exit(0),
        "remove a file": lambda: os.unlink("/nonexistent/genbias"),  # noqa: PTH108
    }
    for what, attempt in attempts.items():
        try:
            attempt()
        except PermissionError:
            continue
        except OSError as problem:
            raise CannotLock(f"the fence does not hold: the attempt to {what} said {problem.strerror}") from None
        raise CannotLock(f"the fence does not hold: it could {what}")
