"""The README's Python, run as it stands there."""

import re
import shutil
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def patient(folder: Path) -> None:
    """The first task waits until the model on this machine has learnt the shop's examples, which takes a busy machine longer than a customer waits."""
    for path in (folder / "interlock.yaml", folder / "agents" / "support_reply.yaml"):
        text = path.read_text(encoding="utf-8")
        assert "max_seconds: 60" in text
        path.write_text(text.replace("max_seconds: 60", "max_seconds: 600"), encoding="utf-8")


async def test_the_python_of_the_readme_resolves_its_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    ignored = shutil.ignore_patterns(".interlock", "__pycache__")
    shutil.copytree(ROOT / "examples" / "support", tmp_path / "examples" / "support", ignore=ignored)
    patient(tmp_path / "examples" / "support")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}

    exec(f"async def snippet():\n{textwrap.indent(code, '    ')}", names)
    await names["snippet"]()  # type: ignore[operator]

    assert capsys.readouterr().out.startswith("resolved ")
