"""CPU of one completion through other gateways, beside ours governed: the same upstream, the same load, in turns within one run.

`make bench-peers` makes an environment apart with both (`build/peers`), and `INTERLOCK_GATEWAY_PEERS` names another Python that has them. One that
is not installed there is left out, and its row says so. CPU is user and system time of every thread of every process of the server under
measurement. They do less than ours here: no key, no budget, no exact cache, no ledger; LiteLLM runs without a database or callbacks.

Above: bench. Below: gateway_ground, gateway_vendor.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.gateway_ground import KEY, Taken, Target, free_port, interlock, load, process

COMMAND = "make bench-peers"
HERE = Path(__file__).parents[1] / "build" / "peers" / "bin" / "python"
START_S = 240.0
"""LiteLLM takes forty seconds on a slow machine."""
LITELLM = """\
model_list:
  - model_name: support
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "http://127.0.0.1:{upstream}/v1", api_key: sk-bench}}
"""


class Peer(NamedTuple):
    """Another gateway, and how it is started."""

    name: str
    arguments: str
    """Of its Python, apart by blanks; `{port}`, `{spare}` (another port), `{upstream}` and `{folder}` are put in."""
    share: float
    """The most that ours may cost of its CPU."""
    part: float
    """Share of our calls that it gets: enough for a median, and over within minutes."""
    environment: Mapping[str, str] = {}


PEERS = (
    Peer(
        "litellm",
        "-m litellm.proxy.proxy_cli --host 127.0.0.1 --num_workers 1 --port {port} --config {folder}/litellm.yaml",
        1 / 150,
        0.1,
        {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        },
    ),
    Peer(
        "sglang-router",
        "-m sglang_router.launch_router --host 127.0.0.1 --port {port} --prometheus-port {spare} --policy round_robin"
        " --worker-urls http://127.0.0.1:{upstream} --max-concurrent-requests 4000 --log-level warn",
        0.6,
        1.0,
    ),
)


def run(quick: bool) -> list[dict[str, Any]]:
    """A row for each peer with its ratio, and the terms of it."""
    python = os.environ.get("INTERLOCK_GATEWAY_PEERS", "") or (str(HERE) if HERE.exists() else "")
    found = {peer.name: version for peer in PEERS if (version := _version(python, peer))}
    rounds, calls = (2, 1000) if quick else (7, 2500)
    figures = [_absent(peer) for peer in PEERS if peer.name not in found]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interlock-bench-")))
        upstream = stack.enter_context(process(["-m", "bench.gateway_vendor"], folder))
        ours = stack.enter_context(interlock(folder / "ours", upstream.port))
        load(ours, calls, "whole")
        for peer in PEERS:
            if peer.name not in found:
                continue
            with _peer(peer, python, folder, upstream.port) as theirs:
                count = max(50, round(calls * peer.part))
                load(theirs, count // 2, "whole")
                turns = [(load(ours, calls, "whole"), load(theirs, count, "whole")) for _ in range(rounds)]
            figures += _figures(peer, found[peer.name], turns)
    return figures


def _figures(peer: Peer, version: str, turns: list[tuple[Taken, Taken]]) -> list[dict[str, Any]]:
    ratio = statistics.median(ours.cpu_us / theirs.cpu_us for ours, theirs in turns)
    ours_us = statistics.median(ours.cpu_us for ours, _ in turns)
    theirs_us = statistics.median(theirs.cpu_us for _, theirs in turns)
    said = f"<= {peer.share:.4g}"
    return [
        _figure(
            f"CPU of a governed completion ÷ {peer.name}'s", float(f"{ratio:.4g}"), "ratio", said, ratio <= peer.share
        ),
        _figure(f"{peer.name}'s ÷ ours", round(1 / ratio, 2), "ratio"),
        _figure(f"a completion through {peer.name} {version}", round(theirs_us, 1), "CPU µs per completion"),
        _figure(
            f"a completion through `interlock serve`, between {peer.name}'s", round(ours_us, 1), "CPU µs per completion"
        ),
    ]


def _absent(peer: Peer) -> dict[str, Any]:
    return _figure(f"CPU of a governed completion ÷ {peer.name}'s: not measured, it is not installed", "", "")


def _figure(
    name: str, value: float | str, unit: str, goal: str | None = None, ok: bool | None = None
) -> dict[str, Any]:
    return {"figure": name, "value": value, "unit": unit, "goal": goal, "ok": ok, "command": COMMAND}


def _version(python: str, peer: Peer) -> str:
    """As its environment has it; empty where it has none."""
    if not python:
        return ""
    ask = f"import importlib.metadata as m; print(m.version({peer.name!r}))"
    told = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    return told.stdout.strip() if told.returncode == 0 else ""


@contextlib.contextmanager
def _peer(peer: Peer, python: str, folder: Path, upstream: int) -> Generator[Target]:
    """The peer as a process that answers completions; stopped afterwards, with whatever it started."""
    (folder / "litellm.yaml").write_text(LITELLM.format(upstream=upstream))
    port = free_port()
    filled = [
        each.format(port=port, upstream=upstream, folder=folder, spare=free_port()) for each in peer.arguments.split()
    ]
    log = folder / f"{peer.name}.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [python, *filled],
            env={**os.environ, **peer.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    try:
        _wait_until_it_answers(child, port, log)
        yield Target(child.pid, port, ledger=False)
    finally:
        child.terminate()
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _wait_until_it_answers(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Returns when a completion has been answered: an open port alone is not yet a gateway that knows its upstream."""
    body = json.dumps({"model": "support", "messages": [{"role": "user", "content": "Is anybody there?"}]}).encode()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", data=body, headers=headers)
    until = time.monotonic() + START_S
    while time.monotonic() < until and child.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(asked, timeout=30) as reply:
            if reply.status == 200:
                return
        time.sleep(0.5)
    said = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{child.args} did not answer within {START_S:g} s (ended with {child.poll()}):\n{said}")
