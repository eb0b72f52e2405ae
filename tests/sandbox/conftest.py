"""A sandbox per test, closed after it; tests that need one skip openly where the host cannot isolate.

What every sandbox must do alike is asked of this machine's and of a worker's behind mutual TLS: those modules are the suite of conformance.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interlock.core.sandbox import Sandbox
from interlock.sandbox.local import LocalSandbox

from . import kit
from .distant import working

CONFORMANCE = ("test_interpreter", "test_bombs", "test_doors")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    module = metafunc.definition.path.stem
    if "sandbox" in metafunc.fixturenames and module in CONFORMANCE:
        metafunc.parametrize("sandbox", ("here", "at a worker"), indirect=True)


@pytest.fixture
async def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sandbox]:
    kit.require_namespaces()
    if getattr(request, "param", "here") == "here":
        made = kit.make()
        yield made
        await made.close()
        return
    folder = tmp_path / "certificates"
    folder.mkdir()
    async with working(folder) as worker:
        yield worker.sandbox()


@pytest.fixture
async def local() -> AsyncIterator[LocalSandbox]:
    """This machine's, for tests that look at it from outside."""
    kit.require_namespaces()
    made = kit.make()
    yield made
    await made.close()
