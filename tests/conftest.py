"""Shared by every ring of tests: requirement marks are checked as they are collected, and reported with the run."""

import gc
import os
import re
import sys

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is. Where changes are judged the examples are the same each time; elsewhere new ones are tried.
settings.register_profile(
    "interlock", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("interlock")
REQUIREMENT = re.compile(r"[A-Z]{2}-\d{2}")
COLLECTED = pytest.StashKey[set[str]]()


def set_aside() -> None:
    """What is loaded by now stays to the end: the collector need not go through all of it in the middle of every few tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def all_tests_are_set_aside() -> None:
    """A server that ended in this process has given everything back to the collector."""
    if not gc.get_freeze_count():
        set_aside()


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


def pytest_collection_finish(session: pytest.Session) -> None:
    set_aside()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    collected = config.stash.get(COLLECTED, set())
    if collected:
        terminalreporter.write_line(f"requirements claimed by these tests: {len(collected)} (docs/requirements.md)")
