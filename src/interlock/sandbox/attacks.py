"""Ways out that were tried, as data: what each does, and the walls that it meets, outermost first. Above: prove, doctor, tests.

`code` is Python that raises where it is stopped; reaching its end means that the way is open. A wall is a layer and the sign by which it is
known: an errno, or a word that the code raises. With a wall's layer switched off, the next one must stop the attack; tests do just that.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable

from msgspec import Struct

from .filter import tables

OPEN = "OPEN"


class Wall(Struct, frozen=True):
    """One layer that stops an attack, and how that shows."""

    layer: str
    """Its name; `a+b` for one that two layers make together, `always` for what no level leaves out."""
    sign: str

    def stands(self, layers: frozenset[str]) -> bool:
        return self.layer == "always" or layers.issuperset(self.layer.split("+"))


class Attack(Struct, frozen=True):
    """One way out."""

    name: str
    code: str
    walls: tuple[Wall, ...]
    group: str = "files"

    def expected(self, layers: Iterable[str]) -> str:
        """The sign that the first of its walls among `layers` gives; `OPEN` where none is there."""
        standing = frozenset(layers)
        return next((wall.sign for wall in self.walls if wall.stands(standing)), OPEN)

    def held_by(self, sign: str, layers: Iterable[str]) -> str:
        """The layer that gave this sign; empty where none did."""
        standing = frozenset(layers)
        return next((wall.layer for wall in self.walls if wall.stands(standing) and wall.sign == sign), "")


def _attack(name: str, group: str, code: str, *walls: str) -> Attack:
    made = tuple(Wall(*wall.split(":")) for wall in walls)
    return Attack(name, code, made, group)


_FORBIDDEN = """
mount umount2 pivot_root chroot setns unshare ptrace keyctl add_key request_key bpf perf_event_open io_uring_setup userfaultfd
process_vm_readv process_vm_writev process_madvise open_by_handle_at name_to_handle_at fsopen fsmount open_tree move_mount mount_setattr
memfd_create memfd_secret personality pidfd_open pidfd_getfd pidfd_send_signal kcmp quotactl reboot kexec_load init_module finit_module
delete_module swapon acct syslog settimeofday clock_settime adjtimex sethostname setuid setgid setgroups capset fanotify_init vhangup
move_pages migrate_pages mbind set_mempolicy shmget msgget semget mq_open mknodat seccomp landlock_create_ruleset nfsservctl
lookup_dcookie sched_setscheduler sched_setattr ioprio_set setxattr bind listen accept4
"""
# With arguments that mean nothing: only the filter may judge them, whatever else would say no.

_WAYS = (
    # --- Files of the host
    _attack("read a canary file", "files", "open(CANARY).read()", "tree:ENOENT", "landlock:EACCES", "uid:EACCES"),
    _attack("read /etc/shadow", "files", "open('/etc/shadow').read()", "tree:ENOENT", "landlock:EACCES", "uid:EACCES"),
    _attack(
        "list the canary's folder",
        "files",
        "os.listdir(os.path.dirname(CANARY))",
        "tree:ENOENT",
        "landlock:EACCES",
        "uid:EACCES",
    ),
    _attack("list the root of the tree", "files", "os.listdir('/')", "landlock:EACCES"),
    _attack("see host folders", "files", "os.stat('/var')", "tree:ENOENT"),
    _attack(
        "read through a symbolic link",
        "files",
        "os.symlink(CANARY, 'link'); open('link').read()",
        "tree:ENOENT",
        "landlock:EACCES",
        "uid:EACCES",
    ),
    _attack(
        "climb out of the workspace",
        "files",
        "open('../' * 12 + CANARY[1:]).read()",
        "tree:ENOENT",
        "landlock:EACCES",
        "uid:EACCES",
    ),
    _attack(
        "read through /proc/self/root",
        "files",
        "open('/proc/self/root' + CANARY).read()",
        "tree:ENOENT",
        "landlock:EACCES",
        "uid:EACCES",
    ),
    _attack(
        "hard link of a system file",
        "files",
        "os.link(os.__file__, 'linked')",
        "tree:EXDEV",
        "landlock:EXDEV",
        "uid:EPERM",
    ),
    _attack(
        "write into the standard library",
        "files",
        "open(os.path.dirname(os.__file__) + '/evil.py', 'w')",
        "tree:EROFS",
        "landlock:EACCES",
        "uid:EACCES",
    ),
    _attack("write into /etc", "files", "open('/etc/evil', 'w')", "tree:EROFS", "landlock:EACCES", "uid:EACCES"),
    _attack("change a system file's mode", "files", "os.chmod(os.__file__, 0o777)", "tree:EROFS", "uid:EPERM"),
    _attack(
        "make a device node",
        "files",
        "os.mknod('disk', stat.S_IFBLK | 0o666, os.makedev(254, 0))",
        "seccomp:EPERM",
        "landlock:EACCES",
        "capabilities:EPERM",
    ),
    _attack("read the kernel's log", "files", "open('/dev/kmsg').read(1)", "tree:ENOENT", "landlock:EACCES"),
    _attack(
        "read kernel settings",
        "files",
        "open('/proc/sys/kernel/core_pattern').read()",
        "tree+pid:ENOENT",
        "landlock:EACCES",
    ),
    _attack("read control groups", "files", "os.listdir('/sys/fs/cgroup')", "tree:ENOENT", "landlock:EACCES"),
    # --- Secrets and descriptors
    _attack(
        "find a secret in the environment",
        "secrets",
        "if not any(SECRET in v for v in os.environ.values()): raise Stopped('NONE')",
        "always:NONE",
    ),
    _attack(
        "find inherited descriptors",
        "secrets",
        "if set(os.listdir('/proc/self/fd')) <= set('012345'): raise Stopped('NONE')",
        "tree+pid:NONE",
        "landlock:EACCES",
        "always:NONE",
    ),
    _attack(
        "hold capabilities",
        "secrets",
        "held = ctypes.create_string_buffer(24); header = ctypes.create_string_buffer(b'\\x22\\x05\\x08\\x20', 8); "
        "call('capget', ctypes.addressof(header), ctypes.addressof(held))\nif not any(held.raw): raise Stopped('NONE')",
        "capabilities:NONE",
    ),
    # --- Other processes
    _attack(
        "see other processes",
        "processes",
        "if [p for p in os.listdir('/proc') if p.isdigit()] == ['1']: raise Stopped('ONLY1')",
        "tree+pid:ONLY1",
        "landlock:EACCES",
    ),
    _attack(
        "signal a process of the host",
        "processes",
        "os.kill(VICTIM, 0)",
        "pid:ESRCH",
        "seccomp:EPERM",
        "landlock:EPERM",
        "uid:EPERM",
    ),
    _attack(
        "trace a process of the host",
        "processes",
        "call('ptrace', 16, VICTIM, 0, 0)",
        "seccomp:EPERM",
        "pid:ESRCH",
        "user:EPERM",
        "uid:EPERM",
    ),
    _attack("start a process", "processes", "os._exit(0) if os.fork() == 0 else os.wait()", "seccomp:EPERM"),
    _attack("start a program", "processes", "os.execv('/usr/bin/env', ['env'])", "seccomp:EPERM", "tree:ENOENT"),
    _attack(
        "a thread that shares no thread group",
        "processes",
        "call('clone', 0x10000000 | 17, 0, 0, 0, 0)",
        "seccomp:EPERM",
        "no_nesting:ENOSPC",
    ),
    _attack("flags where a filter cannot look", "calls", "call('clone3', 0, 0)", "seccomp:ENOSYS"),
    _attack(
        "a nested user namespace", "processes", "call('unshare', 0x10000000)", "seccomp:EPERM", "no_nesting:ENOSPC"
    ),
    # --- Privileges
    _attack(
        "mount a file system",
        "privileges",
        "if _libc.mount(b'none', b'/work', b'tmpfs', 0, None) < 0: raise OSError(ctypes.get_errno(), 'mount')",
        "seccomp:EPERM",
        "capabilities:EPERM",
    ),
    _attack("change the root", "privileges", "os.chroot('.')", "seccomp:EPERM", "capabilities:EPERM"),
    _attack("rename the machine", "privileges", "socket.sethostname('x')", "seccomp:EPERM", "capabilities:EPERM"),
    # --- Calls that work without privileges and have a history of holes: the filter alone stands before them
    _attack("the kernel's keyring", "kernel", "call('keyctl', 0, -3, 1)", "seccomp:EPERM"),
    _attack("fault handling in user space", "kernel", "call('userfaultfd', 1)", "seccomp:EPERM"),
    _attack("secret memory outside every account", "kernel", "call('memfd_secret', 0)", "seccomp:EPERM"),
    _attack("files in memory beside the quota", "kernel", "os.memfd_create('x')", "seccomp:EPERM"),
    _attack(
        "an io_uring",
        "kernel",
        "call('io_uring_setup', 1, ctypes.addressof(ctypes.create_string_buffer(256)))",
        "seccomp:EPERM",
        "rlimits:ENOMEM",
    ),
    _attack("another execution domain", "kernel", "call('personality', 0x0040000)", "seccomp:EPERM"),
    _attack("System V shared memory", "kernel", "call('shmget', 0, 4096, 0o1600)", "seccomp:EPERM"),
    # --- Network
    _attack(
        "connect to the host's loopback",
        "network",
        "socket.create_connection(('127.0.0.1', TCP), 2)",
        "seccomp:EAFNOSUPPORT",
        "landlock:EACCES",
        "net:ENETUNREACH",
    ),
    _attack(
        "reach the metadata service",
        "network",
        "socket.create_connection(('169.254.169.254', 80), 0.2)",
        "seccomp:EAFNOSUPPORT",
        "landlock:EACCES",
        "net:ENETUNREACH",
    ),
    _attack(
        "send UDP",
        "network",
        "socket.socket(2, 2).sendto(b'x', ('127.0.0.1', 53))",
        "seccomp:EAFNOSUPPORT",
        "net:ENETUNREACH",
    ),
    _attack(
        "an abstract unix socket",
        "network",
        "socket.socket(1).connect(ABSTRACT)",
        "seccomp:EAFNOSUPPORT",
        "net:ECONNREFUSED",
        "landlock:EPERM",
    ),
    _attack("netlink", "network", "socket.socket(16, 3, 0)", "seccomp:EAFNOSUPPORT"),
    _attack("vsock to the hypervisor", "network", "socket.socket(40, 1)", "seccomp:EAFNOSUPPORT"),
    _attack("raw packets", "network", "socket.socket(17, 3)", "seccomp:EAFNOSUPPORT", "capabilities:EPERM"),
)


def _null_call(name: str) -> Attack:
    return _attack(f"system call {name}", "calls", f"call({name!r}, -1, -1, -1, -1, -1)", "seccomp:EPERM")


ATTACKS = (*_WAYS, *map(_null_call, _FORBIDDEN.split()))

_PRELUDE = """
import ctypes, errno, os, socket, stat
class Stopped(Exception): pass
_libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if name not in NUMBERS:
        raise Stopped('ABSENT')
    if _libc.syscall(ctypes.c_long(NUMBERS[name]), *map(ctypes.c_long, arguments)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
def attempt(code, space):
    try:
        exec(code, space)
    except Stopped as stopped:
        return str(stopped)
    except OSError as refused:
        return errno.errorcode.get(refused.errno, str(refused.errno)) if refused.errno else type(refused).__name__
    except BaseException as failed:
        return f'{type(failed).__name__}: {failed}'
    return 'OPEN'
"""


class Targets(Struct, frozen=True):
    """What the attacks aim at: real things of the host, made for the purpose."""

    canary: str
    """A file that only the supervisor may read."""
    secret: str
    """A text in the supervisor's environment."""
    victim: int
    tcp_port: int
    abstract: str


def program(attacks: Iterable[Attack], targets: Targets) -> str:
    """Python that tries each attack and ends with an expression: sign by name."""
    machine = platform.machine()
    aims = {
        "CANARY": targets.canary,
        "SECRET": targets.secret,
        "VICTIM": targets.victim,
        "TCP": targets.tcp_port,
        "ABSTRACT": f"\0{targets.abstract}",
        "NUMBERS": tables()[machine],
    }
    codes = {attack.name: attack.code for attack in attacks}
    return (
        f"import json\nglobals().update(json.loads({json.dumps(json.dumps(aims))}))\n{_PRELUDE}\n"
        f"{{name: attempt(code, globals()) for name, code in json.loads({json.dumps(json.dumps(codes))}).items()}}"
    )
