"""The three kinds of job: a piece of code (or a session's cell), a function of a module, a shell command. Above: runner."""

from __future__ import annotations

import ast
import asyncio
import base64
import errno
import importlib.util
import inspect
import io
import json
import linecache
import marshal
import os
import sys
import traceback
from collections.abc import Iterator
from types import CodeType, ModuleType
from typing import Any

from . import standin

MAX_TRACEBACK_CHARS = 8_000
MAX_REPR_CHARS = 10_000
MAX_FIGURES = 16
_CELL = "<cell>"
_LIMIT_BY_ERRNO = {errno.EMFILE: "open_files", errno.ENFILE: "open_files", errno.EFBIG: "disk", errno.EDQUOT: "disk"}


def code(job: dict[str, Any], session: dict[str, Any]) -> dict[str, Any]:
    """Runs a piece of code in the session's namespace; its value is that of a last line that is an expression."""
    space = session.setdefault("space", {"__name__": "__main__", "__builtins__": __builtins__})
    source = job["code"]
    linecache.cache[_CELL] = (len(source), None, source.splitlines(keepends=True), _CELL)
    body, last = _split(source)
    exec(body, space)
    value = eval(last, space) if last is not None else None
    return {"status": "ok", "value": value}


def _split(source: str) -> tuple[CodeType, CodeType | None]:
    tree = ast.parse(source, _CELL)
    last: CodeType | None = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        expression = ast.Expression(tree.body[-1].value)
        tree.body.pop()
        last = compile(expression, _CELL, "eval")
    return compile(tree, _CELL, "exec"), last


def function(job: dict[str, Any], _: dict[str, Any]) -> dict[str, Any]:
    """Calls one function of a module that comes as source; its `from interlock import tool` finds stand-ins."""
    sys.modules["interlock"] = standin.module()
    module = ModuleType(job["module"])
    sys.modules[job["module"]] = module
    linecache.cache[_CELL] = (len(job["code"]), None, job["code"].splitlines(keepends=True), _CELL)
    exec(_compiled(job), vars(module))
    arguments = dict(job["arguments"])
    if job["context"] is not None:
        arguments["ctx"] = standin.ToolContext(**job["context"])
    result = getattr(module, job["function"])(**arguments)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    return {"status": "ok", "value": result}


def _compiled(job: dict[str, Any]) -> CodeType:
    """The module's code: as it came where this is the Python that made it, compiled here otherwise."""
    given = base64.b64decode(job["compiled"])
    magic = importlib.util.MAGIC_NUMBER
    if not given.startswith(magic):
        return compile(job["code"], _CELL, "exec")
    return marshal.loads(given[len(magic) :])  # noqa: S302 - from outside, which is trusted; whatever it is runs confined


def shell(job: dict[str, Any], _: dict[str, Any]) -> dict[str, Any]:
    """Runs a command line with `sh -c`; everything that it leaves running ends with the child."""
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", job["code"]], dict(os.environ))
    while True:
        ended, status = os.waitpid(-1, 0)  # pid 1 reaps orphans too
        if ended == pid:
            return {"status": "ok", "value": None, "exit_code": os.waitstatus_to_exitcode(status)}


def explain(failed: BaseException) -> dict[str, Any]:
    """What was raised, for the model that wrote the code: type, message, its own lines of the traceback, the limit that it met."""
    if isinstance(failed, SystemExit):
        given = failed.code
        return {"status": "ok", "value": None, "exit_code": given if isinstance(given, int) else int(given is not None)}
    if type(failed).__name__ == "ToolError" and hasattr(failed, "retryable"):
        told = {"code": str(getattr(failed, "code", "")), "hint": str(getattr(failed, "hint", ""))}
        return {
            "status": "error",
            "error": {"type": "ToolError", "message": str(getattr(failed, "message", "")), **told},
        }
    lines = traceback.format_exception(failed)
    own = [line for line in lines if f'File "{__file__}"' not in line and "guest/runner.py" not in line]
    text = "".join(own)[-MAX_TRACEBACK_CHARS:]
    error = {"type": type(failed).__name__, "message": str(failed)[:MAX_TRACEBACK_CHARS], "traceback": text}
    return {"status": "error", "error": error, "limit": limit_of(failed)}


def limit_of(failed: BaseException) -> str:
    """Name of the limit that an exception is the sign of; empty for none."""
    if isinstance(failed, MemoryError):
        return "memory"
    if isinstance(failed, KeyboardInterrupt):
        return "wall"
    if isinstance(failed, BlockingIOError) or (isinstance(failed, RuntimeError) and "start new thread" in str(failed)):
        return "processes"
    if isinstance(failed, OSError):
        if failed.errno == errno.ENOSPC:
            room = os.statvfs(".")
            return "inodes" if room.f_ffree == 0 else "disk"
        return _LIMIT_BY_ERRNO.get(failed.errno or 0, "")
    return ""


def figures() -> Iterator[tuple[str, bytes]]:
    """Every open figure of matplotlib as PNG; they are closed by it, so that a session's next cell starts without them."""
    plots = sys.modules.get("matplotlib.pyplot")
    if plots is None:
        return
    for at, number in enumerate(plots.get_fignums()[:MAX_FIGURES], 1):
        held = io.BytesIO()
        plots.figure(number).savefig(held, format="png")
        yield f"figure-{at}.png", held.getvalue()
    plots.close("all")


def flush() -> None:
    """Brings out what stands in buffers; code that closed its streams has nothing there."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue


def encoded(result: dict[str, Any], most: int) -> bytes:
    """The result as JSON; a value that JSON cannot carry, or that is too long, goes as its `repr`, cut."""
    value = result.get("value")
    try:
        body = json.dumps(result, allow_nan=False).encode()
        if len(body) <= most:
            return body
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        shown = repr(value)[: min(MAX_REPR_CHARS, most // 8)]
    except Exception as failed:  # so may a foreign object's repr
        shown = f"<{type(value).__name__}: its repr failed: {type(failed).__name__}>"
    return json.dumps({**result, "value": None, "repr": shown}).encode()
