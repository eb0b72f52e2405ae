"""A workspace of `interlock init`, made once; each test works on a copy, what the on-device tier learned included."""

import shutil
from pathlib import Path

import pytest

from interlock.cli.main import main
from tests.cli.kit import Cli

QUESTIONS = (
    '{"id": "q1", "text": "hi, where is my order AB-1001?", "expected": {"outcome": "resolved", "article": "delivery", "contains": ["on its way"]}}\n'
    '{"id": "q2", "text": "How many days does a delivery take normally?", "expected": {"outcome": "resolved", "contains": ["never"]}}\n'
    '{"id": "q3", "text": "I would like to send these trousers back, how does that work"}\n'
    '{"id": "q4", "text": "Please write my homework about the French revolution"}\n'
)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "starter"
    assert main(["init", str(folder)]) == 0
    (folder / "questions.jsonl").write_text(QUESTIONS)
    assert main(["run", "helpdesk", "--workspace", str(folder), "--input", str(folder / "questions.jsonl")]) == 0
    return folder


@pytest.fixture
def ran(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """A workspace in which the four questions have been answered."""
    shutil.copytree(made, tmp_path / "ran")
    return Cli(tmp_path / "ran", capsys)


@pytest.fixture
def starter(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """A workspace in which nothing has been run yet."""
    folder = tmp_path / "starter"
    shutil.copytree(made, folder)
    for path in (folder / ".interlock").iterdir():
        if path.name != "tier0":
            path.unlink()
    return Cli(folder, capsys)
