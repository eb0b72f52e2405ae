"""The filter: its program is run on a machine made of Python for every number of both architectures, and for real in a child."""

import hashlib
import platform
import random
import struct
from errno import EAFNOSUPPORT, EINVAL, ENOSYS, ENOTTY, EPERM

import pytest

from interlock.core.sandbox import RunLimits
from interlock.sandbox.filter import ALLOW, ERRNO, KILL, Profile, allowed, assemble, tables
from interlock.sandbox.local import LocalSandbox

from . import kit

pytestmark = pytest.mark.requirement("TL-03")

ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PROFILES = [Profile(p, e, s) for p in (False, True) for e in (False, True) for s in (False, True)]
CASES = [(machine, profile) for machine in ARCHES for profile in PROFILES]
JUDGED_BY_ARGUMENT = {"clone", "prctl", "ioctl", "socket", "socketpair"}
NEW_USER, THREAD = 0x10000000, 0x00010000


def judge(program: bytes, number: int, arch: int, *arguments: int) -> int:
    """What the kernel's classic BPF machine would return."""
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    steps = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at, held = 0, 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        match code:
            case 0x20:
                (held,) = struct.unpack_from("=I", data, value)
            case 0x54:
                held &= value
            case 0x15:
                at += yes if held == value else no
            case 0x35:
                at += yes if held >= value else no
            case 0x45:
                at += yes if held & value else no
            case 0x06:
                return value
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")


@pytest.mark.parametrize(("machine", "profile"), CASES)
def test_every_number_that_is_not_on_the_list_is_denied(machine, profile):
    program, numbers = assemble(profile, machine), tables()[machine]
    names = {number: name for name, number in numbers.items()}
    for number in range(1200):
        verdict = judge(program, number, ARCHES[machine])
        name = names.get(number)
        if name in JUDGED_BY_ARGUMENT:
            continue
        if name is None or name == "clone3":
            assert verdict == ERRNO | ENOSYS, number
        else:
            assert verdict == (ALLOW if name in allowed(profile) else ERRNO | EPERM), name


@pytest.mark.parametrize(("machine", "profile"), CASES)
def test_calls_that_are_judged_by_their_arguments(machine, profile):
    program, numbers = assemble(profile, machine), tables()[machine]

    def verdict(name: str, *arguments: int) -> int:
        return judge(program, numbers[name], ARCHES[machine], *arguments)

    assert verdict("clone", THREAD) == ALLOW
    assert verdict("clone", 17) == (ALLOW if profile.processes else ERRNO | EPERM)
    assert verdict("clone", NEW_USER | THREAD) == ERRNO | EPERM
    for family in range(64):
        tcp = family == 2 and profile.egress
        assert verdict("socket", family, 1 | 0o2000000) == (ALLOW if tcp else ERRNO | EAFNOSUPPORT)
        assert verdict("socket", family, 2) == ERRNO | EAFNOSUPPORT
        assert verdict("socketpair", family) == (ALLOW if family == 1 else ERRNO | EAFNOSUPPORT)
    assert verdict("prctl", 15) == ALLOW
    assert verdict("prctl", 22) == ERRNO | EINVAL  # PR_SET_SECCOMP
    assert verdict("ioctl", 0, 0x5401) == ALLOW
    assert verdict("ioctl", 0, 0x5412) == ERRNO | ENOTTY  # TIOCSTI


@pytest.mark.parametrize("machine", ARCHES)
def test_a_foreign_architecture_is_killed(machine):
    program = assemble(Profile(), machine)
    for arch in (0x40000003, 0xC000003E, 0x40000028, 0xC00000B7, 0, 0xFFFFFFFF):
        assert (judge(program, 0, arch) == KILL) == (arch != ARCHES[machine])


def test_x32_numbers_are_killed():
    program = assemble(Profile(), "x86_64")

    assert {judge(program, 0x40000000 | number, ARCHES["x86_64"]) for number in range(600)} == {KILL}


# A change of the filter is a change of the wall: it shall be seen in review.
GOLDEN = {
    "x86_64": "c07b3390777f23f6",
    "aarch64": "9d09ee0ac9b2a5cc",
}


@pytest.mark.parametrize("machine", ARCHES)
def test_the_filter_is_the_one_that_was_reviewed(machine):
    whole = b"".join(assemble(profile, machine) for profile in PROFILES)

    assert hashlib.sha256(whole).hexdigest()[:16] == GOLDEN[machine]


def test_no_jump_leaves_the_program_and_a_search_is_short():
    for machine, profile in CASES:
        program = assemble(profile, machine)
        steps = len(program) // 8
        assert steps < 300
        for at in range(steps):
            code, yes, no, _ = struct.unpack_from("=HBBI", program, at * 8)
            if code & 7 == 5:
                assert at + 1 + max(yes, no) < steps


# uretprobe and uprobe (x86-64, Linux 6.11 and 6.18): the kernel lets no filter see them, and kills whoever calls them itself.
UPROBES = {335, 336}

FUZZ = """
import ctypes, errno, random
libc = ctypes.CDLL(None, use_errno=True)
rng = random.Random(SEED)
wrong = []
for _ in range(TIMES):
    number = rng.choice(DENIED)
    arguments = [ctypes.c_long(rng.choice((0, -1, 1, rng.getrandbits(63), rng.getrandbits(12)))) for _ in range(6)]
    ctypes.set_errno(0)
    if libc.syscall(ctypes.c_long(number), *arguments) != -1 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
        wrong.append((number, ctypes.get_errno()))
wrong
"""


async def test_random_calls_with_random_arguments_never_pass(sandbox: LocalSandbox):
    numbers = tables()[platform.machine()]
    judged = {numbers[name] for name in allowed(Profile()) | JUDGED_BY_ARGUMENT if name in numbers}
    denied = [number for number in range(700) if number not in judged | UPROBES]
    code = f"SEED, TIMES, DENIED = {random.Random(7).getrandbits(32)}, 20_000, {denied}\n{FUZZ}"

    outcome = await kit.run(sandbox, code, RunLimits(wall_s=20, cpu_s=20))

    assert outcome.value == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 is a second numbering of x86-64 only")
async def test_an_x32_number_kills_the_process_for_real(sandbox: LocalSandbox):
    outcome = await kit.run(sandbox, "import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 + 39))")

    assert (outcome.status, outcome.exit_code) == ("exited", -31)
