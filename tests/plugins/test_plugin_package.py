"""A dialect in somebody else's package: the file of docs/providers.md as it stands there."""

import importlib
import random
import re
import sys
from pathlib import Path

import pytest

from interlock.core import plugins
from interlock.core.caller import Secret
from interlock.core.ports import Deployment, PluginEnv
from interlock.core.time import SystemClock
from interlock.net.client import PooledClient
from interlock.testing import conformance
from interlock.testing.conformance import Subject
from interlock.testing.upstream import Upstream

DOCUMENT = Path(__file__).parents[2] / "docs" / "providers.md"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package on the path, with its entry point."""
    source = next(
        code for code in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL) if "class Acme" in code
    )
    (tmp_path / "acme_dialect.py").write_text(source)
    about = tmp_path / "acme_dialect-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-dialect\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[interlock.providers]\nacme = acme_dialect\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield
    sys.modules.pop("acme_dialect", None)


@pytest.mark.requirement("GW-12")
@pytest.mark.parametrize("case", conformance.CASES, ids=lambda case: case.__name__)
async def test_a_dialect_of_another_package_conforms(case, installed):
    assert "acme" in plugins.names("providers")
    module = plugins.find("providers", "acme")
    assert module is not None
    http = PooledClient(SystemClock())
    async with Upstream(api_key="sk-test") as vendor:
        deployment = Deployment(
            "acme", "m1", "acme", vendor.base_url, Secret("sk-test"), stall_s=0.2, options={"project": "p1"}
        )

        def script(answer):
            vendor.script = lambda _asked: answer

        env = PluginEnv(http=http, clock=SystemClock(), rng=random.Random(1), tier0={})
        await case(Subject(module.build(env), deployment, SystemClock(), script, lambda: vendor.asked[-1]))
        await http.close()


def test_first_party_dialects_are_found_by_their_file_names():
    assert {"anthropic", "gemini", "local", "openai", "simulated"} <= set(plugins.names("providers"))
    assert plugins.find("providers", "nope") is None
