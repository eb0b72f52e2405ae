"""`interlock init`: what it says, and that it overwrites nothing."""

import shlex
from pathlib import Path

import pytest

from interlock.cli.main import CONFIGURATION, OK, main


def test_the_next_command_can_be_pasted_also_when_the_folder_has_spaces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)

    assert main(["init", "my first workspace"]) == OK

    command = capsys.readouterr().err.split("next: ")[1]
    assert shlex.split(command)[:3] == ["cd", "my first workspace", "&&"]


def test_what_is_there_already_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "tools.py").write_text("mine = True\n")

    assert main(["init", str(tmp_path)]) == CONFIGURATION

    assert "Nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["tools.py"]
    assert (tmp_path / "tools.py").read_text() == "mine = True\n"
