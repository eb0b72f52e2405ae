"""Shared by every ring of tests: requirement marks are checked as they are collected, and reported with the run."""

import gc
import os
import re
import sys
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is. Where changes are judged the examples are the same each time; elsewhere new ones are tried.
settings.register_profile(
    "interlock", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("interlock")
REQUIREMENT = re.compile(r"[A-Z]{2}-\d{2}")
COLLECTED = pytest.StashKey[set[str]]()


@pytest.fixture(scope="session", autouse=True)
def loaded_modules_stay_set_aside() -> Generator[None]:
    """What is loaded when the first test begins is nothing that the collector has to go through in the middle of every few tests. Servers that run in this process
    would take all of it back at their end, or set aside what belongs to one test for good.
    """
    gc.collect()
    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "freeze", _nothing)
        patch.setattr(gc, "unfreeze", _nothing)
        yield


def _nothing() -> None: ...


@pytest.fixture(autouse=True)
def no_server_is_stopping() -> None:
    """sse-starlette notes for the whole process that a uvicorn server in it was told to stop, and ends every later stream at once; a test may have told one."""
    known = sys.modules.get("sse_starlette.sse")
    if known is not None:
        known.AppStatus.should_exit = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    collected: set[str] = set()
    for item in items:
        for mark in item.iter_markers("requirement"):
            if not mark.args or not all(isinstance(each, str) and REQUIREMENT.fullmatch(each) for each in mark.args):
                raise pytest.UsageError(f"{item.nodeid}: requirement{mark.args} needs ids such as 'GW-16'")
            collected.update(mark.args)
    config.stash[COLLECTED] = collected


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    collected = config.stash.get(COLLECTED, set())
    if collected:
        terminalreporter.write_line(f"requirements claimed by these tests: {len(collected)} (docs/requirements.md)")
