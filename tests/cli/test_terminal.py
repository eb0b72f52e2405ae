"""On a terminal: a live bar, colours, and a person who is asked."""

import os
import pty
import select
import struct
import subprocess
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest

from tests.cli.kit import INTERLOCK, Cli

PATIENCE_S = 60.0


class Terminal:
    """A process with a terminal of its own."""

    def __init__(self, *arguments: object, columns: int = 100, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", **environment}
        env.pop("NO_COLOR", None) if "NO_COLOR" not in environment else None
        self._process = subprocess.Popen(
            [INTERLOCK, *map(str, arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=env,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def until(self, words: str) -> None:
        """Reads on until `words` have been shown."""
        while words not in self.shown:
            assert self._read(), f"{words!r} was never shown: {self.shown!r}"

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        """Reads the rest; returns the exit code."""
        while self._read():
            pass
        os.close(self._ours)
        return self._process.wait(timeout=PATIENCE_S)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], PATIENCE_S)
        assert ready, f"nothing came for {PATIENCE_S:g} s: {self.shown!r}"
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # Linux: the other end is closed
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)


def waiting(starter: Cli) -> Path:
    starter.edit("agents/helpdesk.yaml", "retries: 1}", "retries: 1, requires_human_approval: true}")
    starter("run", "helpdesk", "--text", "hi, where is my order AB-1001?")
    return starter.folder


def test_a_person_at_a_terminal_is_asked_and_the_task_goes_on(starter: Cli):
    terminal = Terminal("approve", "last", "-w", waiting(starter))

    terminal.until("y = let it, n = deny, enter = leave it open:")
    terminal.type("y\n")

    assert terminal.end() == 0
    assert "Order AB-1001 is on its way." in terminal.shown


def test_enter_leaves_the_question_open(starter: Cli):
    terminal = Terminal("approve", "last", "-w", waiting(starter))

    terminal.until("enter = leave it open:")
    terminal.type("\n")

    assert terminal.end() == 0
    assert "left open" in terminal.shown
    assert len(starter("approve", "--json").json) == 1


@pytest.mark.requirement("OP-02")
def test_a_batch_shows_a_live_bar_with_the_count_of_each_outcome(starter: Cli):
    terminal = Terminal("run", "helpdesk", "-w", starter.folder, "--input", starter.folder / "questions.jsonl")

    assert terminal.end() == 0
    assert "4/4" in terminal.shown
    assert "\x1b[32mresolved 3\x1b[0m" in terminal.shown
    assert "\x1b[?25h" in terminal.shown  # the cursor is back


def test_no_color_keeps_colours_from_a_terminal(starter: Cli):
    terminal = Terminal(
        "run", "helpdesk", "-w", starter.folder, "--input", starter.folder / "questions.jsonl", NO_COLOR="1"
    )

    assert terminal.end() == 0
    assert "\x1b[32m" not in terminal.shown
    assert "resolved 3" in terminal.shown


def test_a_narrow_terminal_gets_short_ids_that_trace_understands(ran: Cli):
    terminal = Terminal("tasks", "-w", ran.folder, columns=80)
    terminal.end()
    full = ran("tasks", "--json").json[0]["task"]

    assert full not in terminal.shown
    assert full[:20] in terminal.shown
    assert ran("trace", full[:20], "--json").json["task"]["task"] == full
