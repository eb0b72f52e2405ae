"""The command line as processes: ctrl-C, kill -9, a reader that has had enough, what a start loads."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.cli.main import INTERRUPTED, OK, OUTSIDE
from tests.cli.kit import INTERLOCK, Cli, process

SLOW_TOOLS = '''
import time
from pathlib import Path
from interlock import ToolContext, tool

@tool(name="orders.get", effect="{effect}")
def orders_get(ctx: ToolContext, order_id: str) -> dict[str, str]:
    """Status of one order."""
    with (Path(__file__).parent / "calls.txt").open("a") as file:
        file.write(f"{{order_id}}\\n")
    time.sleep({seconds})
    return {{"id": order_id, "status": "on its way"}}
'''
LINES = 30


def slow(starter: Cli, *, effect: str = "none", seconds: float = 0.1) -> Path:
    """Many lines whose one tool call takes its time; returns the input file."""
    (starter.folder / "tools.py").write_text(SLOW_TOOLS.format(effect=effect, seconds=seconds))
    contract = starter.folder / "agents" / "helpdesk.yaml"
    contract.write_text(contract.read_text().replace("timeout_ms: 1000,", "timeout_ms: 60000,"))
    return starter.file("slow.jsonl", *({"text": f"where is my order AB-{1000 + n}?"} for n in range(LINES)))


def calls(starter: Cli) -> list[str]:
    return (starter.folder / "calls.txt").read_text().split()


@pytest.mark.requirement("OP-02")
def test_ctrl_c_lets_go_in_order_and_the_command_it_names_does_the_rest(starter: Cli):
    path = slow(starter, seconds=0.5)
    arguments = ["run", "helpdesk", "-w", starter.folder, "--input", path, "--concurrency", 2, "--json"]

    with process(*arguments) as first:
        assert first.stdout is not None
        assert first.stderr is not None
        seen = [first.stdout.readline() for _ in range(3)]
        first.send_signal(signal.SIGINT)
        out, err = first.stdout.read(), first.stderr.read()
    done = [json.loads(line)["task"] for line in (*seen, *out.splitlines())]

    assert first.returncode == INTERRUPTED
    assert 3 <= len(done) < LINES
    assert f"of {LINES} done; this goes on with the rest:" in err
    named = err.strip().splitlines()[-1].split()
    assert named[:3] == ["interlock", "run", "helpdesk"]
    assert "Traceback" not in err

    slow(starter, seconds=0)
    rest = subprocess.run([INTERLOCK, *named[1:]], capture_output=True, text=True, timeout=120)
    done += [json.loads(line)["task"] for line in rest.stdout.splitlines()]
    assert rest.returncode == OK
    assert len(done) == len(set(done)) == LINES
    assert sorted(map(str.upper, calls(starter))) == [f"AB-{1000 + n}" for n in range(LINES)]


def test_a_reader_that_has_had_enough_ends_the_run_quietly(starter: Cli):
    path = slow(starter, seconds=0.01)

    with process("run", "helpdesk", "-w", starter.folder, "--input", path, "--json") as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith('{"task":')
        running.stdout.close()
        assert running.stderr is not None
        err = running.stderr.read()

    assert running.returncode == OK
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


@pytest.mark.parametrize(
    "arguments", [("tasks", "--limit", "0"), ("tasks", "--json", "--limit", "0"), ("pnl",), ("trace", "last")]
)
def test_a_pipe_that_is_closed_early_is_no_trouble(ran: Cli, arguments):
    reading, writing = os.pipe()
    os.close(reading)

    said = subprocess.run(
        [INTERLOCK, *arguments, "-w", ran.folder], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writing)

    assert said.returncode == OK
    assert "Traceback" not in said.stderr
    assert "Broken" not in said.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_under_stdout_is_said_in_words(ran: Cli):
    with Path("/dev/full").open("w") as full:
        said = subprocess.run(
            [INTERLOCK, "tasks", "--json", "-w", ran.folder], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )

    assert said.returncode == OUTSIDE
    assert said.stderr == "interlock: standard output: No space left on device\n"


def test_a_call_cut_by_kill_9_that_must_not_be_repeated_is_put_to_a_person(starter: Cli):
    path = slow(starter, effect="once", seconds=30)
    arguments = ["run", "helpdesk", "-w", starter.folder, "--input", path, "--limit", 1]

    with process(*arguments) as running:
        wait_for(starter.folder / "calls.txt", running)
        running.kill()
        running.communicate(timeout=60)
    slow(starter, effect="once", seconds=0)
    again = starter(*map(str, ["run", "helpdesk", "--input", path, "--limit", 1]))
    waits = starter("approve", "--json").json

    assert again.code == OK
    assert [(each["kind"], each["tool"]) for each in waits] == [("doubt", "orders.get")]
    assert "nobody knows whether it happened" in starter("approve").out
    result = starter("approve", waits[0]["task"], "--redo", "--json").json
    assert (result["outcome"], result["answer"]) == ("resolved", f"Order {calls(starter)[0]} is on its way.")
    assert len(calls(starter)) == 2


def wait_for(path: Path, running: subprocess.Popen[str]) -> None:
    """Returns when the file is there; a process that ends before is a failure."""
    while not path.exists():
        try:
            running.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(running.communicate())


def test_serve_prints_its_address_and_a_new_key_answers_and_stops_in_order(starter: Cli):
    import urllib.error
    import urllib.request

    with process("serve", "-w", starter.folder, "--port", 0) as running:
        assert running.stderr is not None
        head = [running.stderr.readline() for _ in range(4)]
        url = head[0].split()[-1]
        key = head[1].split()[1]
        request = urllib.request.Request(f"{url}/models", headers={"authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            names = [each["id"] for each in json.load(reply)["data"]]
        body = b'{"model": "support", "messages": [{"role": "user", "content": "hello"}]}'
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        chat = urllib.request.Request(f"{url}/chat/completions", data=body, headers=headers)
        with urllib.request.urlopen(chat, timeout=60) as reply:
            call = reply.headers["x-interlock-call-id"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/models", timeout=60)
        refused.value.close()
        running.send_signal(signal.SIGINT)
        err = running.stderr.read()

    assert running.returncode == OK
    assert (refused.value.code, "support" in names) == (401, True)
    assert "stopped; every call under way has ended" in err
    assert str(starter.folder / ".interlock" / "interlock.db") in head[3]
    assert starter("trace", call, "--json").json["steps"][0]["call"]["call"] == call


def test_a_server_says_at_its_start_which_models_no_limit_in_dollars_holds(starter: Cli):
    text = (starter.folder / "interlock.yaml").read_text()
    own = "providers:\n  mine: {dialect: openai, base_url: 'http://127.0.0.1:9/v1', api_key: k}\n"
    (starter.folder / "interlock.yaml").write_text(text.replace("models:\n", "models:\n  own: mine/llama\n", 1) + own)
    with process("serve", "-w", starter.folder, "--port", 0) as running:
        assert running.stderr is not None
        told = next(line for line in running.stderr if line.startswith("remark: "))
        running.send_signal(signal.SIGINT)
        running.stderr.read()
    for said in ("mine/llama", "no limit in dollars holds them", "`prices:`"):
        assert said in told


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_a_start_loads_nothing_that_it_does_not_need(option):
    program = (
        f"import sys; from interlock.cli.main import main; main(['{option}']); print(*sys.modules, file=sys.stderr)"
    )

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr.split()

    assert not {"msgspec", "rich", "argparse", "asyncio", "pydantic", "yaml", "sqlite3", "numpy"} & set(loaded)


@pytest.mark.parametrize("verb", ["tasks", "trace", "pnl", "approve"])
def test_looking_loads_no_model_server_or_http_client(verb, ran: Cli):
    program = (
        f"import sys; from interlock.cli.main import main; main(['{verb}', '-w', {str(ran.folder)!r}, "
        f"*(['last'] if '{verb}' == 'trace' else [])]); print('LOADED', *sys.modules, file=sys.stderr)"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr
    loaded = said.split("LOADED")[1].split()

    assert not {"onnxruntime", "numpy", "tokenizers", "uvicorn", "httptools", "genai_prices"} & set(loaded)


LEAN = """\
providers: {mine: {dialect: openai, base_url: "http://127.0.0.1:9/v1", api_key: k}}
models: {support: {small: [mine/llama]}}
"""
ONLY_WHERE_SAID = {
    "genai_prices", "httpx2", "jinja2", "sqlglot", "mcp", "redis", "psycopg", "cryptography", "trafilatura", "phonenumbers",
    "numpy", "onnxruntime", "tokenizers", "rich", "interlock.config.contract", "interlock.economics.taken", "interlock.governance.flow",
    "interlock.ondevice", "interlock.plugins.providers.anthropic", "interlock.plugins.providers.gemini", "interlock.redteam", "interlock.sandbox",
    "interlock.server.dashboard.draw", "interlock.storage.postgres", "interlock.tools.mcp", "interlock.tools.sql",
}  # fmt: skip


def test_a_gateway_loads_nothing_that_its_files_do_not_ask_for(tmp_path):
    """From its start over the look at its prices, which begins when the door is open, to its end."""
    (tmp_path / "interlock.yaml").write_text(LEAN)
    plain = {key: each for key, each in os.environ.items() if not key.endswith("_API_KEY")}
    said: list[str] = []
    with process("serve", "-w", tmp_path, "--port", 0, env={**plain, "PYTHONPROFILEIMPORTTIME": "1"}) as running:
        assert running.stderr is not None
        for line in running.stderr:
            said.append(line)
            if line.startswith("ctrl-C"):
                running.send_signal(signal.SIGTERM)
    loaded = {line.rpartition("|")[2].strip() for line in said if line.startswith("import time:")}

    assert any("mine/llama" in line for line in said), "it looked for the price before it ended"
    assert running.returncode == OK
    assert {"interlock.gateway.chat", "interlock.economics.pricelist"} <= loaded
    assert not ONLY_WHERE_SAID & loaded


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_pipes_and_no_color_get_plain_text(ran: Cli, environment):
    said = subprocess.run(
        [INTERLOCK, "tasks", "-w", ran.folder],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "", **environment},
    )

    assert "\x1b" not in said.stdout
    assert "simulated" in said.stdout


def test_a_stream_that_cannot_show_every_character_is_no_trouble(ran: Cli):
    said = subprocess.run(
        [INTERLOCK, "trace", "last", "-w", ran.folder],
        capture_output=True,
        check=True,
        env={"PATH": "", "PYTHONIOENCODING": "ascii"},
    )

    assert b"helpdesk" in said.stdout


def test_a_verb_that_ends_while_a_thread_is_at_work_keeps_its_exit_code():
    program = (
        "import atexit, sys, threading\n"
        "from interlock.cli import main\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "atexit.register(print, 'taken down around it')\n"
        "main.perform = lambda *_: 3\n"
        "sys.argv = ['interlock', 'check']\n"
        "sys.exit(main.main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (3, "")
