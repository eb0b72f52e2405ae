"""The runner: takes one job, or the cells of one session, from the job socket and sends back what became of it. Above: zygote.

It is already confined and shares its process with foreign code, so nothing that it sends is trusted outside; a job that tampers with it
harms its own result only. Shell commands and functions are in `jobs`.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from . import frames, jobs, workspace
from .kernel import IGNORED, handle

JOB_FD, LISTENER_FD = 3, 4
_UNFIT = 71
_DONE = 0


def unfit(step: str, failed: OSError) -> NoReturn:
    """Says which layer could not be put on, and ends before any foreign code was run."""
    body = json.dumps({"step": step, "errno": failed.errno or 0, "message": str(failed)}).encode()
    frames.send(JOB_FD, frames.UNFIT, body)
    os._exit(_UNFIT)


def serve(*, network: bool) -> NoReturn:
    """Says that the child is ready (with the listener, where there is one), then works off jobs until one is the last."""
    if network:
        with socket.socket(fileno=os.dup(JOB_FD)) as job:
            socket.send_fds(job, [frames.READY + bytes(4)], [LISTENER_FD])
        os.close(LISTENER_FD)
    else:
        frames.send(JOB_FD, frames.READY)
    handle(signal.SIGINT, IGNORED)
    _reseed()
    me = os.getpid()
    session: dict[str, Any] = {}
    while True:
        job = _take()
        if job is None:
            os._exit(_DONE)
        result = _perform(job, session)
        if os.getpid() != me:  # a fork of foreign code that came back here writes no result
            os._exit(_DONE)
        _send(job, result)
        if not job["session"]:
            os._exit(_DONE)


def _take() -> dict[str, Any] | None:
    """The next job, its files placed in the workspace; `None` when no more comes."""
    job: dict[str, Any] | None = None
    writer = workspace.Writer()
    while True:
        kind, body = frames.receive(JOB_FD)
        if kind == frames.JOB:
            job = json.loads(body)
        elif kind == frames.FILE:
            writer.begin(json.loads(body)["path"])
        elif kind == frames.DATA:
            writer.data(body)
        else:
            writer.end()
            return job if kind == frames.GO else None


def _perform(job: dict[str, Any], session: dict[str, Any]) -> dict[str, Any]:
    """Runs the job; what it raised, also by leaving, is part of the result."""
    os.environ.update(job["environment"])
    perform: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] = {
        "code": jobs.code,
        "function": jobs.function,
        "shell": jobs.shell,
    }[job["entry"]]
    before = workspace.snapshot() if job["collect"] else {}
    gc.enable()
    handle(signal.SIGINT, signal.default_int_handler)
    try:
        result = perform(job, session)
    except BaseException as failed:  # foreign code may raise anything
        result = jobs.explain(failed)
    finally:
        handle(signal.SIGINT, IGNORED)
        jobs.flush()
    result["changed"] = workspace.changed(before) if job["collect"] else []
    return result


def _send(job: dict[str, Any], result: dict[str, Any]) -> None:
    """Figures and files first, the result last: it ends the answer."""
    for name, data in jobs.figures() if job["collect"] else ():
        frames.send(JOB_FD, frames.FILE, json.dumps({"path": name, "size": len(data), "kind": "figure"}).encode())
        for at in range(0, len(data), frames.CHUNK):
            frames.send(JOB_FD, frames.DATA, data[at : at + frames.CHUNK])
    for path in result.pop("changed"):
        workspace.send(JOB_FD, path)
    frames.send(JOB_FD, frames.RESULT, jobs.encoded(result, job["result_bytes"]))


def _reseed() -> None:
    """Every child starts from the zygote's state of the random generators; none may share it with another."""
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "numpy.random" in sys.modules:  # by a number: numpy's own way to gather entropy takes a tenth of a call
        sys.modules["numpy.random"].seed(int.from_bytes(os.urandom(4), "big"))
