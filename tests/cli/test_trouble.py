"""What can be wrong before anything runs: no workspace, no key, no server, a store that is locked."""

import socket
import sqlite3

import pytest

from interlock.cli.main import CONFIGURATION, OUTSIDE, USAGE, main
from tests.cli.kit import Cli

pytestmark = pytest.mark.requirement("OP-02")


@pytest.mark.parametrize("verb", ["check", "tasks", "pnl", "approve", "serve"])
def test_without_a_workspace_each_verb_says_how_to_make_one(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert main([verb]) == CONFIGURATION
    assert "Run `interlock init DIR`" in capsys.readouterr().err


def test_a_missing_key_names_the_variable(starter: Cli, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    said = starter("run", "helpdesk", "--text", "hello", "--model", "openai/gpt-4o-mini")

    assert said.code == CONFIGURATION
    assert "OPENAI_API_KEY" in said.err


@pytest.mark.parametrize(("model", "start"), [("ollama/llama3.2", "ollama serve"), ("vllm/llama", "vllm serve llama")])
def test_a_server_that_does_not_answer_is_named_with_how_to_start_it(starter: Cli, model, start, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    monkeypatch.setenv(f"{model.split('/')[0].upper()}_BASE_URL", address)

    said = starter("run", "helpdesk", "--text", "hello", "--model", model)

    assert said.code == OUTSIDE
    assert f"nothing answers at {address} (connection refused)" in said.err
    assert start in said.err


def test_a_locked_store_is_an_outside_trouble_and_says_what_to_do(ran: Cli):
    with sqlite3.connect(ran.folder / ".interlock" / "interlock.db", isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        said = ran("run", "helpdesk", "--text", "hello")
        holder.execute("ROLLBACK")
    holder.close()

    assert said.code == OUTSIDE
    assert "locked" in said.err
    assert "Traceback" not in said.err


def test_a_file_that_is_no_store_is_named(ran: Cli):
    (ran.folder / ".interlock" / "interlock.db").write_text("not a database" * 100)

    said = ran("tasks")

    assert said.code == OUTSIDE
    assert "interlock.db" in said.err


def test_faults_of_the_files_come_all_at_once_with_their_places(starter: Cli):
    starter.edit("agents/helpdesk.yaml", "max_steps: 6", "max_stepz: 6")
    starter.edit("interlock.yaml", "tenant: default", "tennant: default")

    said = starter("tasks")

    assert said.code == CONFIGURATION
    assert "2 faults in the configuration:" in said.err
    assert "helpdesk.yaml:9:" in said.err


def test_an_unknown_verb_or_option_is_a_usage_error_with_the_nearest(starter: Cli, capsys):
    assert main(["trase"]) == USAGE
    assert "did you mean `trace`?" in capsys.readouterr().err
    assert starter("pnl", "--sinse", "1d").code == USAGE


def test_help_is_no_error(capsys):
    assert main(["run", "--help"]) == 0
    assert "--concurrency" in capsys.readouterr().out
