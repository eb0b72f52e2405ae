"""The document of the tasks' addresses against a server process: whatever it allows is answered as it says."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from .conftest import Folder

ADDRESS = re.compile(r"at (http://[^/\s]+)/v1")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
UNCHECKED = (
    HealthCheck.too_slow,
    HealthCheck.filter_too_much,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
)
ENDLESS = ("/api/tasks/{task}/events",)
"""Of a task that goes on; no document says when a stream ends."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a server with a task that waits, and the headers to ask it with."""
    folder = Folder(tmp_path_factory.mktemp("openapi"))
    folder.write("interlock.yaml", "workspace: openapi\n")
    folder.write(
        "agents/helper.yaml", "agent:\n  name: helper\n  model: simulated/small\n  tools: [{name: task.wait}]\n"
    )
    command = [str(Path(sys.executable).with_name("interlock")), "serve", "-w", str(folder.root), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if (found := ADDRESS.search(line)) is not None:
            break
    else:
        pytest.fail("the server ended before it said where it listens")
    key = (folder.root / ".interlock" / "server.key").read_text().strip()
    yield found[1], {"authorization": f"Bearer {key}"}
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=90)
    assert process.returncode == 0


@pytest.mark.requirement("AG-14")
def test_whatever_the_document_allows_is_answered_as_it_says(server: tuple[str, dict[str, str]]):
    address, headers = server
    schema: Any = schemathesis.openapi.from_url(f"{address}/api/openapi.json", headers=headers)
    operations = [each.ok() for each in schema.get_all_operations()]
    assert len(operations) > 14
    for operation in operations:
        if operation.path not in ENDLESS:
            ask(operation, address, headers)


def ask(operation: Any, address: str, headers: dict[str, str]) -> None:
    @settings(max_examples=8, deadline=None, database=None, derandomize=True, suppress_health_check=UNCHECKED)
    @given(case=operation.as_strategy())
    def asked(case: Any) -> None:
        case.query = {name: value for name, value in (case.query or {}).items() if name != "wait_s"}
        reply = case.call(base_url=address, headers=headers, timeout=20)
        assert reply.status_code < 500, (operation.label, case.body, reply.text)
        case.validate_response(reply, checks=CHECKS)

    asked()


def test_a_body_that_no_document_allows_is_refused_in_words(server: tuple[str, dict[str, str]]):
    import requests

    address, headers = server
    for body in (
        b"",
        b"[]",
        b"{",
        b'"\\ud800"',
        b'{"workflow": "helper", "input": {}, "more": 1}',
        b"\xff",
        b'{"workflow": 1}',
    ):
        reply = requests.post(f"{address}/api/tasks", data=body, headers=headers, timeout=20)
        assert reply.status_code == 400, (body, reply.text)
        assert json.loads(reply.text)["error"]["message"]


@pytest.mark.requirement("ME-01")
def test_a_session_is_changed_read_and_ended(server: tuple[str, dict[str, str]]):
    import requests

    address, headers = server
    url = f"{address}/api/sessions/chat-7"
    changed = requests.patch(url, json={"values": {"step": 1, "cart": ["a"]}}, headers=headers, timeout=20)
    removed = requests.patch(url, json={"values": {"cart": None}}, headers=headers, timeout=20)
    read = requests.get(url, headers=headers, timeout=20)
    ended = requests.delete(url, headers=headers, timeout=20)
    after = requests.get(url, headers=headers, timeout=20)
    wrong = [
        requests.patch(url, json={"values": {"": 1}}, headers=headers, timeout=20),
        requests.patch(url, json={"values": {"long": "x" * 70_000}}, headers=headers, timeout=20),
        requests.get(f"{address}/api/sessions/{'x' * 201}", headers=headers, timeout=20),
        requests.get(url, timeout=20),
    ]
    assert changed.json() == {"session": "chat-7", "values": {"step": 1, "cart": ["a"]}}
    assert removed.json()["values"] == read.json()["values"] == {"step": 1}
    assert (ended.status_code, after.json()["values"]) == (204, {})
    assert [reply.status_code for reply in wrong] == [400, 400, 400, 401]
