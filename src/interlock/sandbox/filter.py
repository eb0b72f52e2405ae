"""The default-deny seccomp filter, assembled as classic BPF for x86-64 and aarch64. Above: zygotes, doctor. Below: data/syscalls.json.

A call that is not on the list gets EPERM; one with a number that these tables do not know gets ENOSYS, as from an older kernel, so that C
libraries fall back. A foreign architecture, or x32's numbers, kill the process. The numbers are cut into ranges of one verdict and searched
as a balanced tree, so a call costs about nine comparisons. Sources: seccomp(2), Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from errno import EAFNOSUPPORT, EINVAL, ENOSYS, ENOTTY, EPERM
from functools import cache
from itertools import groupby
from pathlib import Path

from msgspec import Struct

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _JEQ, _JGE, _JSET, _RET, _AND = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
_NUMBER, _ARCH = 0, 4
_ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
_NEW_NAMESPACES = 0x7E020000
_THREAD = 0x00010000

# What a language runtime and ordinary tools need: files, memory, threads, time, own signals.
_BASE = """
read write pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 open openat openat2 creat close close_range lseek dup dup2 dup3 fcntl flock
stat lstat fstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat getcwd chdir fchdir getdents getdents64
mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat truncate ftruncate fallocate fadvise64 fsync fdatasync
sync_file_range syncfs chmod fchmod fchmodat utime utimes utimensat futimesat umask sendfile splice tee vmsplice copy_file_range readahead
getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
mmap munmap mprotect mremap madvise brk msync mincore mlock mlock2 munlock membarrier
futex set_robust_list get_robust_list rseq set_tid_address arch_prctl sched_yield sched_getaffinity sched_setaffinity sched_getparam
sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval getcpu getpriority
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack restart_syscall pause alarm setitimer getitimer
nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times timer_create timer_settime timer_gettime timer_delete timer_getoverrun
timerfd_create timerfd_settime timerfd_gettime getrandom uname sysinfo getrusage getrlimit setrlimit prlimit64
getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid getgroups getpgrp getpgid getsid capget
pipe pipe2 poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2
eventfd eventfd2 signalfd signalfd4 inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
exit exit_group wait4 waitid
sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown getsockopt setsockopt getsockname getpeername
"""
_SIGNALS = "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo"
_PROCESSES = "fork vfork execve execveat setpgid setsid setpriority"
_EGRESS = "connect"

_PRCTL = (1, 2, 3, 15, 16, 21, 23, 27, 30, 38, 39, 47, 0x53564D41)
"""PDEATHSIG, its reading, DUMPABLE (read), NAME, SECCOMP (read), CAPBSET_READ, SECUREBITS (read), TIMERSLACK, NO_NEW_PRIVS, VMA names."""
_IOCTL = (0x5401, 0x5413, 0x540F, 0x541B, 0x5421, 0x5450, 0x5451, 0x5452)
"""TCGETS, TIOCGWINSZ, TIOCGPGRP, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, FIOASYNC."""
_AF_UNIX, _AF_INET = 1, 2
_SOCK_STREAM, _SOCK_TYPE_MASK = 1, 0xF


class Profile(Struct, frozen=True):
    """What one kind of call may do beyond the base."""

    processes: bool = False
    """May start processes and programs."""
    egress: bool = False
    """May open TCP sockets over IPv4."""
    signals: bool = True
    """May send signals; only where a pid namespace bounds whom they reach."""


class _Check(Struct, frozen=True):
    """Verdict by argument: `program` is what stands at the leaf."""

    name: str
    program: tuple[tuple[int, int, int, int], ...]


_Verdict = int | _Check


@cache
def tables() -> dict[str, dict[str, int]]:
    """Numbers of system calls by name, per machine."""
    data = json.loads((Path(__file__).parent / "data" / "syscalls.json").read_text(encoding="utf-8"))
    return {machine: data[machine] for machine in _ARCHES}


def allowed(profile: Profile) -> frozenset[str]:
    """Names of the calls that the profile lets through, some by their arguments only."""
    names = _BASE + "clone prctl ioctl socket socketpair"
    if profile.signals:
        names += " " + _SIGNALS
    if profile.processes:
        names += " " + _PROCESSES
    if profile.egress:
        names += " " + _EGRESS
    return frozenset(names.split())


@cache
def assemble(profile: Profile, machine: str) -> bytes:
    """The filter's program, for `platform.machine()`; the same bytes for the same arguments.

    Raises:
        KeyError: no table for this machine.
    """
    numbers = tables()[machine]
    ranges = list(_ranges(numbers, profile))
    head = [(_LOAD, 0, 0, _ARCH), (_JEQ, 1, 0, _ARCHES[machine]), _ret(KILL), (_LOAD, 0, 0, _NUMBER)]
    if machine == "x86_64":
        head += [(_JGE, 0, 1, _X32), _ret(KILL)]
    program = [*head, *_search(ranges)]
    return b"".join(struct.pack("=HBBI", *each) for each in program)


def _ranges(numbers: dict[str, int], profile: Profile) -> Iterator[tuple[int, _Verdict]]:
    """(first number, verdict) of each run of numbers with one verdict; the last one goes on for ever."""
    listed = allowed(profile)
    checks = _checks(profile)
    by_number = {number: name for name, number in numbers.items()}
    last = max(by_number)

    def verdict(number: int) -> _Verdict:
        name = by_number.get(number)
        if (
            name is None or name == "clone3"
        ):  # its flags stand in memory, where a filter cannot look; ENOSYS makes libc use clone
            return ERRNO | ENOSYS
        if name in checks:
            return checks[name]
        return ALLOW if name in listed else ERRNO | EPERM

    for found, run in groupby(range(last + 2), verdict):
        yield next(run), found


def _checks(profile: Profile) -> dict[str, _Check]:
    clone = [_argument(0), (_JSET, 0, 1, _NEW_NAMESPACES), _ret(ERRNO | EPERM)]
    if not profile.processes:
        clone += [(_JSET, 1, 0, _THREAD), _ret(ERRNO | EPERM)]
    checks = {
        "clone": [*clone, _ret(ALLOW)],
        "prctl": _one_of(_PRCTL, EINVAL),
        "ioctl": [(_LOAD, 0, 0, 16 + 8), *_one_of(_IOCTL, ENOTTY)[1:]],
        "socketpair": _one_of((_AF_UNIX,), EAFNOSUPPORT),
        "socket": _tcp() if profile.egress else [_ret(ERRNO | EAFNOSUPPORT)],
    }
    return {name: _Check(name, tuple(program)) for name, program in checks.items()}


def _argument(index: int) -> tuple[int, int, int, int]:
    return (_LOAD, 0, 0, 16 + 8 * index)  # the low half, on little-endian machines, which both are


def _one_of(values: tuple[int, ...], otherwise: int) -> list[tuple[int, int, int, int]]:
    tests = [(_JEQ, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [_argument(0), *tests, _ret(ERRNO | otherwise), _ret(ALLOW)]


def _tcp() -> list[tuple[int, int, int, int]]:
    """AF_INET streams and nothing else: no UDP, so no DNS; no netlink, no vsock, which a network namespace does not cover."""
    return [
        _argument(0),
        (_JEQ, 0, 3, _AF_INET),
        _argument(1),
        (_AND, 0, 0, _SOCK_TYPE_MASK),
        (_JEQ, 1, 0, _SOCK_STREAM),
        _ret(ERRNO | EAFNOSUPPORT),
        _ret(ALLOW),
    ]


def _ret(value: int) -> tuple[int, int, int, int]:
    return (_RET, 0, 0, value)


def _search(ranges: list[tuple[int, _Verdict]]) -> list[tuple[int, int, int, int]]:
    """A balanced search tree over the ranges, its leaves inline."""
    if len(ranges) == 1:
        verdict = ranges[0][1]
        return list(verdict.program) if isinstance(verdict, _Check) else [_ret(verdict)]
    middle = len(ranges) // 2
    lower, upper = _search(ranges[:middle]), _search(ranges[middle:])
    assert len(lower) < 256, "a jump of classic BPF spans at most 255 instructions"
    return [(_JGE, len(lower), 0, ranges[middle][0]), *lower, *upper]
