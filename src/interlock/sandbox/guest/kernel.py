"""The system calls that the standard library does not offer, by ctypes. Above: tree, confine, zygote. Below: the kernel.

Constants are those of the kernel's own headers (`linux/sched.h`, `linux/mount.h`, `linux/prctl.h`, `linux/landlock.h`, `linux/seccomp.h`);
numbers of system calls from `asm/unistd_64.h` (x86-64) and `asm-generic/unistd.h` (aarch64), Linux 6.1.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
from collections.abc import Callable
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 4096, 16384, 1 << 18, 1 << 19
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8
_AT_FDCWD, _AT_RECURSIVE, _AT_SYMLINK_NOFOLLOW = -100, 0x8000, 0x100

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_READ, _PR_CAPBSET_DROP = 1, 4, 23, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_SIGKILL = 9
_CAP_LAST = 63
_HUGE, _MADV_COLLAPSE = 2 << 20, 25
_MALLOPT = {-1: 128 << 10, -2: 128 << 10, -3: 128 << 10}  # thresholds of trimming, growing, mapping

# (x86-64, aarch64); from 424 on all architectures share one numbering.
_NUMBERS = {
    "pivot_root": (155, 41),
    "seccomp": (317, 277),
    "close_range": (436, 436),
    "mount_setattr": (442, 442),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}

LANDLOCK_RULE_PATH, LANDLOCK_RULE_PORT = 1, 2
_LANDLOCK_VERSION = 1

handle: Callable[[int, Any], Any] = vars(signal.signal).get("__wrapped__", signal.signal)
"""`signal.signal` without the enumerations around it: a child copies every page of its zygote that it touches, and theirs are a tenth of them."""
IGNORED, USUAL = int(signal.SIG_IGN), int(signal.SIG_DFL)


class Kernel:
    """The calls, bound once to the C library. Each raises OSError with the kernel's errno."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._held = ctypes.PyDLL(None, use_errno=True)
        """The same, without letting go of the interpreter's lock for the call."""
        column = {"x86_64": 0, "aarch64": 1}[platform.machine()]
        self._numbers = {name: row[column] for name, row in _NUMBERS.items()}

    def _call(self, function: Callable[..., int], *arguments: object) -> int:
        result = function(*arguments)
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def _syscall(self, name: str, *arguments: object) -> int:
        return self._call(self._libc.syscall, ctypes.c_long(self._numbers[name]), *arguments)

    def unshare(self, flags: int) -> None:
        self._call(self._libc.unshare, flags)

    def setns(self, fd: int, kind: int) -> None:
        self._call(self._libc.setns, fd, kind)

    def fork(self) -> int:
        """fork(2) for a process of one thread, without what modules registered to run after one: locks that nobody can hold, seeds that the runner draws anew.
        `os.fork` would run it, and a fifth of what a child copies of its zygote's memory would be for that.
        """
        return self._call(self._held.fork)

    def mount(self, source: str, target: str, kind: str, flags: int, options: str = "") -> None:
        """mount(2); `kind` and `options` may be empty."""
        data = options.encode() if options else None
        self._call(
            self._libc.mount,
            source.encode(),
            target.encode(),
            kind.encode() or None,
            ctypes.c_ulong(flags),
            data,
        )

    def unmount(self, target: str) -> None:
        self._call(self._libc.umount2, target.encode(), MNT_DETACH)

    def pivot_root(self, new: str, old: str) -> None:
        self._syscall("pivot_root", new.encode(), old.encode())

    def restrict_mount(self, path: str, attributes: int, *, recursive: bool) -> None:
        """Adds read-only, nosuid, nodev, noexec to a mount, and with `recursive` to all below it."""
        data = struct.pack("=QQQQ", attributes, 0, 0, 0)
        flags = _AT_SYMLINK_NOFOLLOW | (_AT_RECURSIVE if recursive else 0)
        self._syscall("mount_setattr", _AT_FDCWD, path.encode(), flags, data, ctypes.c_size_t(len(data)))

    def die_with_parent(self) -> None:
        self._call(self._libc.prctl, _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)

    def be_dumpable(self) -> None:
        """Without it a process that changed its uid may not write its own id maps."""
        self._call(self._libc.prctl, _PR_SET_DUMPABLE, 1, 0, 0, 0)

    def drop_capabilities(self) -> None:
        """Empties the bounding, ambient, permitted, effective and inheritable sets."""
        prctl = self._libc.prctl
        for capability in range(_CAP_LAST):
            if prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
                break  # EINVAL: the kernel knows no further ones
        self._call(prctl, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        header = struct.pack("=Ii", 0x20080522, 0)
        self._call(self._libc.capset, header, bytes(24))

    def no_new_privileges(self) -> None:
        self._call(self._libc.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

    def close_from(self, lowest: int) -> None:
        """Closes every descriptor from `lowest` on."""
        self._syscall("close_range", ctypes.c_uint(lowest), ctypes.c_uint(0xFFFFFFFF), 0)

    def filter(self, program: bytes) -> None:
        """Installs a seccomp filter: cBPF, eight bytes an instruction."""
        held = ctypes.create_string_buffer(program, len(program))
        fprog = struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(held))
        self._syscall("seccomp", 1, 0, fprog)

    def collapse(self, begin: int, end: int) -> None:
        """Gathers the pages of a range into huge ones, as far as it spans any; a fork then copies one entry for 512."""
        begin, end = -(-begin // _HUGE) * _HUGE, end // _HUGE * _HUGE
        for at in range(begin, end, _HUGE):
            self._libc.madvise(
                ctypes.c_void_p(at), ctypes.c_size_t(_HUGE), _MADV_COLLAPSE
            )  # a hole or an old kernel: left as it is

    def keep_on_heap(self, most: int) -> None:
        """The C library takes pieces of up to `most` bytes from one heap that only grows, instead of mapping each by itself; 0: as usual. Source: mallopt(3)."""
        for parameter, usual in _MALLOPT.items():
            self._libc.mallopt(parameter, most or usual)

    def landlock_abi(self) -> int:
        """The version of landlock that the kernel speaks; 0 where it has none."""
        try:
            return self._syscall("landlock_create_ruleset", None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
        except OSError:
            return 0

    def landlock_ruleset(self, attributes: bytes) -> int:
        return self._syscall("landlock_create_ruleset", attributes, ctypes.c_size_t(len(attributes)), 0)

    def landlock_allow(self, ruleset: int, kind: int, rule: bytes) -> None:
        self._syscall("landlock_add_rule", ruleset, kind, rule, 0)

    def landlock_restrict(self, ruleset: int) -> None:
        self._syscall("landlock_restrict_self", ruleset, 0)
