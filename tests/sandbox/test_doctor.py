"""`interlock doctor` attacks the host's sandbox and tells what held, to people and to programs."""

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest

from interlock.cli.main import main
from interlock.sandbox.attacks import ATTACKS

from . import kit

pytestmark = pytest.mark.requirement("TL-03")
SCHEMA = json.loads((kit.ROOT / "docs" / "schemas" / "doctor.schema.json").read_text())


def doctor(root: Path, capsys: pytest.CaptureFixture[str], policy: str, *options: str) -> tuple[int, str]:
    (root / "interlock.yaml").write_text(policy)
    code = main(["doctor", "--workspace", str(root), *options])
    return code, capsys.readouterr().out


def test_it_carries_out_every_attack_and_names_the_layer_that_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    kit.require_namespaces()

    code, out = doctor(tmp_path, capsys, "{}", "--json")

    told = json.loads(out)
    jsonschema_rs.validate(SCHEMA, told)
    assert (code, told["ok"], told["refused"]) == (0, True, "")
    assert told["level"] in ("namespaces", "namespaces+cgroup")
    assert {each["attack"]: each["held_by"] for each in told["attacks"]} == {
        each.name: each.walls[0].layer for each in ATTACKS
    }


def test_a_host_that_does_not_reach_the_level_is_told_so_and_the_exit_code_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code, out = doctor(tmp_path, capsys, "sandbox: {min_level: vm}", "--json")

    told = json.loads(out)
    jsonschema_rs.validate(SCHEMA, told)
    assert (code, told["ok"], told["level"], told["attacks"]) == (1, False, "", [])
    assert "level vm" in told["refused"]


def test_people_read_one_line_per_attack_and_what_holds_each_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    kit.require_namespaces()

    _, out = doctor(tmp_path, capsys, "{}", "--attacks")

    assert f"{len(ATTACKS)} of {len(ATTACKS)} attacks were stopped." in out
    assert "attack        netlink: EAFNOSUPPORT, seccomp held" in out
    assert "limit         disk: tmpfs of its own" in out


def test_every_test_that_the_page_about_security_names_is_there():
    page = (kit.ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`(tests/[a-z_/]+\.py)::(test_\w+)`", page)
    sources = {path: (kit.ROOT / path).read_text() for path, _ in named}

    assert len(named) > 60
    assert [name for path, name in named if f"def {name}(" not in sources[path]] == []


def test_the_page_about_security_has_a_row_for_every_attack_with_its_walls():
    page = (kit.ROOT / "docs" / "security.md").read_text()
    for attack in ATTACKS:
        if attack.group == "calls" and attack.name.startswith("system call "):
            assert attack.name.removeprefix("system call ") in page
            continue
        first, *behind = (f"{wall.layer} ({wall.sign})" for wall in attack.walls)
        assert f"| {attack.name} | {first} | {', then '.join(behind) or 'nothing'} |" in page
    assert f"{len(ATTACKS)} attacks are tried" in (kit.ROOT / "docs" / "sandbox.md").read_text()
