"""Control groups: where they are taken and where not, on trees made of files; and for real where this machine lends some."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.core.sandbox import RunLimits
from interlock.sandbox import cgroups
from interlock.sandbox.local import LocalSandbox

from . import kit

pytestmark = pytest.mark.requirement("TL-04")


def machine(tmp_path: Path, own: str, mounts: dict[str, str]) -> Path:
    """A /proc/self of a machine whose groups are folders."""
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(own)
    lines = [
        f"30 20 0:1 / {point} rw - {'cgroup' if names else 'cgroup2'} cgroup rw{',' + names if names else ''}"
        for names, point in mounts.items()
    ]
    (proc / "mountinfo").write_text("\n".join(lines) + "\n")
    return proc


def test_version_1_is_taken_only_where_this_process_stands_in_the_root(tmp_path: Path):
    for name in ("memory", "pids", "cpuacct"):
        (tmp_path / name).mkdir()
    proc = machine(
        tmp_path,
        "3:memory:/somebody/elses\n2:pids:/\n1:cpuacct:/\n",
        {"memory": f"{tmp_path}/memory", "pids": f"{tmp_path}/pids", "cpuacct": f"{tmp_path}/cpuacct"},
    )

    found = cgroups.find(proc=proc, token="t")

    assert found.holds == {"pids", "cpuacct"}
    assert not found.whole
    assert list((tmp_path / "memory").iterdir()) == []


def delegated(tmp_path: Path) -> Path:
    base = tmp_path / "unified" / "service"
    made = base / "interlock-t"
    made.mkdir(parents=True)
    for folder in (base, made):
        (folder / "cgroup.subtree_control").write_text("memory pids")
    return base


def test_a_delegated_part_of_version_2_is_whole_and_its_leaves_get_every_limit(tmp_path: Path):
    base = delegated(tmp_path)
    proc = machine(tmp_path, "0::/service/worker\n", {"": f"{tmp_path}/unified"})
    groups = cgroups.find(str(base), proc=proc, token="t")
    leaf_at = base / "interlock-t" / "c1"
    leaf_at.mkdir()
    for name in ("cgroup.procs", "memory.events", "pids.events", "cpu.stat"):
        (leaf_at / name).write_text("")
    (leaf_at / "cpu.stat").write_text("usage_usec 1000000\n")

    leaf = groups.lend(RunLimits(memory_bytes=100, disk_bytes=20), 7)
    (leaf_at / "cpu.stat").write_text("usage_usec 3500000\n")
    (leaf_at / "memory.events").write_text("oom 1\noom_kill 1\n")

    assert groups.whole
    assert leaf is not None
    written = {
        name: (leaf_at / name).read_text() for name in ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max")
    }
    assert written == {"memory.max": "120", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "7"}
    assert leaf.counted() == cgroups.Counted(cpu_s=2.5, out_of_memory=True)
    groups.give_back(leaf)
    assert groups.lend(RunLimits(), 3) is leaf
    assert leaf.counted() == cgroups.Counted(cpu_s=0.0)
    leaf.remove()


def test_a_group_that_nobody_gave_away_is_left_alone(tmp_path: Path):
    delegated(tmp_path)
    proc = machine(tmp_path, "0::/service/worker\n", {"": f"{tmp_path}/unified"})

    found = cgroups.find(proc=proc, token="t")

    assert (
        found.holds == frozenset() or Path(tmp_path).stat().st_uid != 0
    )  # an ordinary user's own folder counts as given


MOVE = """
import os, sys
from pathlib import Path
from interlock.sandbox import cgroups
base = Path(sys.argv[1])
(base / "cgroup.procs").write_text("0")
friend = os.fork()
if not friend:
    os.execvp("sleep", ["sleep", "60"])
try:
    alone = cgroups._enable(base / "missing", ("hugetlb",))
    held = cgroups._enable(base, ("hugetlb",))
    own = dict(cgroups._own(Path("/proc/self/cgroup")))[""]
    print(alone, held, own.rpartition("/")[2], (base / "cgroup.procs").read_text().split(), (base / "cgroup.subtree_control").read_text().strip())
finally:
    os.kill(friend, 9)
    os.wait()
"""


def test_a_service_that_stands_in_what_is_delegated_to_it_moves_itself_aside_for_real():
    """With whatever controller version 2 has here: the kernel refuses it while a process stands in the group itself."""
    mount = dict(cgroups._mounts(Path("/proc/self/mountinfo"))).get("")
    if mount is None or "hugetlb" not in (mount / "cgroup.controllers").read_text():
        pytest.skip("no unified hierarchy with a controller here")
    base = mount / f"interlock-test-{os.getpid()}"
    was_on = "hugetlb" in (mount / "cgroup.subtree_control").read_text()
    try:
        base.mkdir()
        (mount / "cgroup.subtree_control").write_text("+hugetlb")
    except OSError as refused:
        pytest.skip(f"its groups are not ours: {refused}")
    try:
        told = subprocess.run([sys.executable, "-c", MOVE, str(base)], capture_output=True, text=True, check=False)
    finally:
        for left in (*base.glob("interlock-*"), base):
            left.rmdir()
        if not was_on:
            (mount / "cgroup.subtree_control").write_text("-hugetlb")

    assert told.stdout == "False True interlock-service [] hugetlb\n", told.stderr


def test_groups_can_be_switched_off():
    assert cgroups.find("off").holds == frozenset()


async def test_real_groups_count_cpu_and_processes_of_the_tree(sandbox: LocalSandbox):
    await sandbox.start()
    assert sandbox._groups is not None
    if not {"pids", "cpuacct"} <= sandbox._groups.holds:
        pytest.skip(f"no groups for processes and CPU are ours here: {sorted(sandbox._groups.holds)}")
    burn = "import os, time\nif os.fork() == 0:\n  while time.process_time() < 0.3: pass\n  os.kill(os.getpid(), 9)\nos.wait()"

    burnt = await kit.run(sandbox, burn, RunLimits(processes=3))
    bomb = await kit.run(
        sandbox,
        "import os, time\nfor _ in range(9):\n  try:\n    if os.fork() == 0: time.sleep(9)\n  except OSError: pass",
        RunLimits(processes=3),
    )

    assert burnt.usage.cpu_s > 0.1
    assert bomb.status == "ok"
