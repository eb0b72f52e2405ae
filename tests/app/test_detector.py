"""A detector in somebody else's package: the file of docs/pii.md as it stands there, over a stand-in for Presidio's engine."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.testing.upstream import Upstream

from .conftest import Folder
from .guards_kit import FILES, opened, parrot

DOCUMENT = Path(__file__).parents[2] / "docs" / "pii.md"
ENGINE = '''
import re
from types import SimpleNamespace


class AnalyzerEngine:
    """Knows one name."""

    def analyze(self, text, language, entities):
        assert (language, entities) == ("en", ["PERSON", "LOCATION"])
        return [SimpleNamespace(start=m.start(), end=m.end(), entity_type="PERSON") for m in re.finditer("Ann Lee", text)]
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package on the path, with its entry point."""
    source = next(
        code for code in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL) if "class Presidio" in code
    )
    site = tmp_path / "site"
    about = site / "our_presidio-0.1.dist-info"
    about.mkdir(parents=True)
    (site / "our_presidio.py").write_text(source)
    (site / "presidio_analyzer.py").write_text(ENGINE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: our-presidio\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[interlock.detectors]\npresidio = our_presidio\n")
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    yield
    for name in ("our_presidio", "presidio_analyzer"):
        sys.modules.pop(name, None)


@pytest.mark.requirement("SG-01")
@pytest.mark.usefixtures("installed")
async def test_what_a_detector_finds_is_covered_and_restored_like_everything_else(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("interlock.yaml", FILES + "pii: {detectors: [presidio]}\n")
    async with Upstream(parrot()) as vendor, opened(folder, vendor) as il:
        reply = await il.chat("support", "Ask Ann Lee, ann@example.com")
        seen = vendor.asked[0].body["messages"][-1]["content"]
    assert reply.response.text == "You said: Ask Ann Lee, ann@example.com"
    assert re.fullmatch(r"Ask \[person:[a-z2-7]+\], \[email:[a-z2-7]+\]", seen)
