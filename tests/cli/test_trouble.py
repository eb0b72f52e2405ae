"""What can be wrong before anything runs: no workspace, no key, no server, a store that is locked."""

import socket
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from interlock.cli.main import CONFIGURATION, NOT_ALL_WELL, OUTSIDE, USAGE, main
from tests.cli.kit import Cli

REFUSAL = (
    b'{"error": {"message": "Incorrect API key provided", "type": "invalid_request_error", "code": "invalid_api_key"}}'
)


class Refusing(BaseHTTPRequestHandler):
    """A vendor that knows none of our keys."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(REFUSAL)))
        self.end_headers()
        self.wfile.write(REFUSAL)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Quiet."""


@pytest.fixture
def refusing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        serving.join()


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


@pytest.mark.parametrize("single", [True, False])
def test_a_key_that_the_vendor_refuses_names_the_variable_and_the_tasks_go_to_a_person(
    starter: Cli, refusing: str, monkeypatch, single
):
    monkeypatch.setenv("OPENAI_BASE_URL", refusing)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    path = starter.file("one.jsonl", {"text": "write a poem about tulips"})

    what = ("--text", "write a poem about tulips") if single else ("--input", path)
    said = starter("run", "helpdesk", *what, "--model", "openai/gpt-4o-mini")

    assert said.code == NOT_ALL_WELL
    assert "handed to a person" in said.out
    told = " ".join((said.out + said.err).split())
    assert "1 task got no answer from a model: openai/gpt-4o-mini answered with status 401" in told
    assert "Check the key: OPENAI_API_KEY" in told
    assert ("then run it again." if single else "then --fresh runs them again.") in told
    assert "sk-wrong" not in said.out + said.err


def test_a_server_that_never_begins_to_answer_is_named_by_its_address(starter: Cli, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-any")
        starter.edit("interlock.yaml", "max_seconds: 60", "max_seconds: 1")
        said = starter("run", "helpdesk", "--text", "write a poem about tulips", "--model", "openai/gpt-4o-mini")

    assert said.code == NOT_ALL_WELL
    assert f"Is {address} up and reachable from here? Then run it again." in said.err


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


def test_a_folder_that_cannot_be_made_is_named_with_what_to_look_at(starter: Cli):
    starter.edit("interlock.yaml", ".interlock/interlock.db", "tools.py/interlock.db")

    said = starter("tasks")

    assert said.code == OUTSIDE
    assert "tools.py" in said.err
    assert "See that there is room and that this user may write there." in said.err


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


def test_strictly_checked_a_warning_is_a_fault(starter: Cli):
    starter.edit("agents/helpdesk.yaml", "output_schema: Answer", "output_schema: NotThere")

    usual, strict = starter("check"), starter("check", "--strict", "--json")

    assert usual.code == 0
    assert strict.code == 1
    assert strict.json["ok"] is False
    assert any("NotThere" in fault["message"] for fault in strict.json["faults"])
