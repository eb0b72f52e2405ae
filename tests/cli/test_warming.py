"""What takes seconds is said where nothing shows it."""

import pytest

from interlock.cli import warming
from tests.cli.kit import Cli


def test_a_log_says_what_is_waited_for(starter: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(warming, "PATIENCE_S", 0.0)

    said = starter("run", "helpdesk", "--text", "hi, where is my order AB-1001?")

    assert "the on-device tier learns from the examples of helpdesk" in said.err
    assert "the task is at work; ctrl-C stops waiting for it" in said.err
    assert "Order AB-1001 is on its way." in said.out
