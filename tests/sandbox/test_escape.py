"""The escape suite: every way out is tried for real, and the layer that stops it is named; then again with that layer switched off."""

import json
import os
import subprocess
import sys

import pytest

from interlock.core.errors import SandboxRefused
from interlock.sandbox.attacks import ATTACKS, OPEN, Attack
from interlock.sandbox.layers import LAYERS

from . import kit

pytestmark = pytest.mark.requirement("TL-03")

FULL = LAYERS["namespaces"]
SWITCHED = ("tree", "landlock", "seccomp", "pid", "capabilities", "no_nesting", "net", "uid")
BEHIND = [
    pytest.param(layer, attack, id=f"without {layer}: {attack.name}")
    for layer in SWITCHED
    for attack in ATTACKS
    if any(layer in wall.layer for wall in attack.walls) and not (layer == "seccomp" and attack.group == "calls")
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_stopped_by_the_layer_that_is_named_for_it(attack: Attack):
    kit.require_namespaces()

    found = kit.tried()[attack.name]

    assert (found.sign, found.held_by) == (attack.walls[0].sign, attack.walls[0].layer)


@pytest.mark.parametrize(("layer", "attack"), BEHIND)
def test_without_a_layer_the_next_wall_stops_the_attack(layer: str, attack: Attack):
    """Where no wall is left the attack must get through: a check that cannot fail would prove nothing."""
    kit.require_namespaces()
    if layer == "uid" and os.geteuid() != 0:
        pytest.skip("an ordinary user's sandbox has that user's uid")
    if layer == "pid" and os.geteuid() != 0:
        pytest.skip(
            "an ordinary user can mount a proc of their own pid namespace only, so the layer cannot be left out"
        )

    found = kit.tried((layer,))[attack.name]

    assert found.sign == attack.expected(FULL - {layer})


def test_the_suite_shows_attacks_that_get_through_when_their_only_wall_is_gone():
    kit.require_namespaces()

    through = {name for name, found in kit.tried(("seccomp",)).items() if found.sign == OPEN}

    assert {"the kernel's keyring", "netlink", "vsock to the hypervisor", "start a process"} <= through


@pytest.mark.parametrize("layer", ["no_new_privs", "user"])
async def test_a_layer_that_others_stand_on_cannot_be_left_out_in_silence(layer: str):
    kit.require_namespaces()
    sandbox = kit.make(off=(layer,))
    try:
        with pytest.raises(SandboxRefused):
            await kit.run(sandbox, "1")
    finally:
        await sandbox.close()


@pytest.mark.parametrize("attack", [each for each in ATTACKS if each.group != "calls"], ids=lambda attack: attack.name)
def test_level_landlock_stops_all_but_the_metadata_of_paths(attack: Attack):
    kit.require_namespaces()

    found = kit.tried((), "landlock")[attack.name]

    assert found.ok
    assert (found.sign == OPEN) == (attack.name == "see host folders")


USER = """
import asyncio, json, sys
from interlock.core.errors import SandboxRefused
from interlock.core.time import SystemClock
from interlock.core.sandbox import Job
from interlock.sandbox.local import LocalSandbox, Options
from interlock.sandbox.prove import findings

async def main():
    sandbox = LocalSandbox(Options(min_level=sys.argv[1]), SystemClock())
    try:
        level = await sandbox.start()
        pool = await sandbox.pool(Job("code", ""))
        zygote = await pool.warm()
        found = await findings(pool, zygote.layers)
        print(json.dumps({"level": level, "through": [f.attack for f in found if not f.ok], "tried": len(found)}))
    except SandboxRefused as refused:
        print(json.dumps({"refused": str(refused)}))
    finally:
        await sandbox.close()

asyncio.run(main())
"""


def as_a_user(minimum: str, *before: str) -> dict[str, object]:
    """The suite in a process of an unprivileged user; `before` is a command that the interpreter is run under."""
    interpreter = kit.open_interpreter()
    if not interpreter:
        pytest.skip("no interpreter here that an unprivileged uid may run")
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    done = subprocess.run(
        [*before, interpreter, "-c", USER, minimum],
        env={
            "PYTHONPATH": f"{packages}:{kit.ROOT / 'src'}",
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        user=kit.NOBODY if os.geteuid() == 0 else None,
        group=kit.NOBODY if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_ordinary_user_gets_the_same_walls():
    kit.require_namespaces()

    found = as_a_user("namespaces")

    assert str(found.pop("level")).startswith("namespaces")
    assert found == {"through": [], "tried": len(ATTACKS)}


NO_NAMESPACES = (
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"',
    "-",
)


def test_where_namespaces_are_denied_it_refuses_and_says_what_was_denied():
    kit.require_namespaces()

    found = as_a_user("namespaces", *NO_NAMESPACES)

    assert "namespaces: the sandbox image python stopped at" in str(found["refused"])


def test_where_namespaces_are_denied_level_landlock_holds_if_it_is_asked_for():
    kit.require_namespaces()

    found = as_a_user("landlock", *NO_NAMESPACES)

    assert (found["level"], found["through"]) == ("landlock", [])


async def test_a_level_that_the_host_cannot_prove_is_refused_with_the_reasons_of_each():
    kit.require_namespaces()
    sandbox = kit.make(min_level="namespaces+cgroup", cgroup="off")

    with pytest.raises(SandboxRefused, match=r"namespaces\+cgroup: no control groups") as refused:
        await sandbox.start()

    assert "doctor" in refused.value.hint
    await sandbox.close()


async def test_no_isolation_needs_a_flag_of_its_own_and_stains_every_outcome():
    with pytest.raises(SandboxRefused, match="min_level is none"):
        kit.make(min_level="none")
    sandbox = kit.make(only="none")
    try:
        outcome = await kit.run(sandbox, "1 + 1")
    finally:
        await sandbox.close()

    assert outcome.value == 2
    assert outcome.stains == ("sandbox: level none", "UNSAFE: ran without isolation")
