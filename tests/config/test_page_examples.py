"""What the pages show to be written into files is valid as it stands, and what they show to be typed works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from interlock.app import policy
from interlock.cli.main import main
from interlock.config.load import load

DOCS = Path(__file__).resolve().parents[2] / "docs"
BASE = """\
tenant: acme
models: {support: {small: [openai/gpt-4o-mini], premium: [openai/gpt-4o]}}
"""
ENV = {
    "OPENAI_API_KEY": "k",
    "ANTHROPIC_API_KEY": "k",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "MINE_API_KEY": "k",
}


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.requirement("OP-07")
@pytest.mark.parametrize("page", ["limits", "prices", "routing", "caching", "providers"])
def test_every_block_of_yaml_on_a_page_of_the_gateway_is_valid(tmp_path: Path, page: str) -> None:
    shown = blocks(page, "yaml")
    assert shown
    for number, block in enumerate(shown):
        folder = tmp_path / str(number)
        folder.mkdir()
        own_models = re.search(r"^models:", block, re.MULTILINE)
        base = BASE if own_models is None else "tenant: acme\n"
        if page == "prices":
            base += "providers: {mine: {dialect: openai, base_url: 'https://llm.example.com/v1'}}\n"
        (folder / "interlock.yaml").write_text(base + block, encoding="utf-8")
        assert policy.settings_of(load(folder / "interlock.yaml", ENV))


@pytest.mark.requirement("OP-07", "GW-34")
def test_what_the_page_of_keys_shows_to_be_typed_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "interlock.yaml").write_text(BASE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (page,) = blocks("keys", "console")
    typed = [line[2:] for line in page.splitlines() if line.startswith("$ interlock ")]
    assert len(typed) >= 4
    for line in typed:
        assert main(shlex.split(line, comments=True)[1:]) == 0, line
    assert "il-" in capsys.readouterr().out
