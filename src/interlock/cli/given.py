"""What `interlock run` was given to work on: a file of inputs, or one input spelled out on the command line.

Above: `run`. Below: config's contract.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.config.names import nearest
from interlock.core.due import fitting
from interlock.core.errors import InvalidRequest

from .options import parser
from .text import plural

if TYPE_CHECKING:
    from interlock.config.contract import Input


STDIN = Path("-")
MOST_BYTES = 256_000_000
"""Of standard input."""


def options() -> argparse.ArgumentParser:
    """What `interlock run` takes."""
    made = parser("run", "Runs a workflow over a file of inputs, or over one input.")
    made.add_argument("workflow", nargs="?", metavar="WORKFLOW", help="name of a contract in agents/")
    made.add_argument("values", nargs="*", metavar="key=value", help="one input, field by field")
    made.add_argument("--text", metavar="TEXT", help="one input whose field `text` is this")
    made.add_argument(
        "-i",
        "--input",
        type=Path,
        metavar="FILE",
        help="inputs: .jsonl (an object per line), .csv (a header), - (stdin)",
    )
    made.add_argument("-m", "--model", default="", metavar="M", help="alias, model or provider/model, for this run")
    made.add_argument("--concurrency", type=positive, default=8, metavar="N", help="tasks at the same time (default 8)")
    made.add_argument("--limit", type=positive, metavar="N", help="the first N lines of the file only")
    made.add_argument(
        "--priority", type=urgency, default=0, metavar="N", help="of what is due, a higher one goes first"
    )
    made.add_argument("--fresh", action="store_true", help="all lines anew, also those that an earlier run finished")
    made.add_argument("--live", action="store_true", help="of one input: what the model writes, while it writes it")
    made.add_argument("--demo", action="store_true", help="with an empty store and a few words of explanation")
    return made


def urgency(text: str) -> int:
    """A task's priority; for argparse."""
    try:
        return fitting(int(text))
    except (ValueError, InvalidRequest) as wrong:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from -1000 to 1000") from wrong


def positive(text: str) -> int:
    """A whole number above zero; for argparse."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return number


def from_stdin(folder: Path) -> Path:
    """Standard input as a file in `folder`, named by its content: the same lines again are the same run, and go on where it stopped.

    Raises:
        InvalidRequest: there is nothing, or more than is kept.
    """
    held = sys.stdin.buffer.read(MOST_BYTES + 1)
    if not held.strip() or len(held) > MOST_BYTES:
        raise InvalidRequest(f"standard input is empty or longer than {MOST_BYTES:,} bytes", param="input")
    ending = ".jsonl" if held.lstrip()[:1] in (b"{", b"[") else ".csv"
    path = folder / f"{hashlib.sha256(held).hexdigest()[:12]}{ending}"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(held)
    return path


def one_input(text: str | None, pairs: Sequence[str], fields: Mapping[str, Input]) -> dict[str, Any]:
    """The one input that was spelled out; the runtime reads each value in the type that the contract declares.

    Raises:
        InvalidRequest: a pair that is none, a field that the contract does not have, a required one that is missing.
    """
    given: dict[str, Any] = {} if text is None else {"text": text}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InvalidRequest(f"{pair!r} is not key=value", hint=f"The inputs are {', '.join(fields)}.")
        given[name] = value
    for name in given:
        if name not in fields:
            raise InvalidRequest(f"the contract has no input {name!r}", param=name, hint=nearest(name, list(fields)))
    missing = [name for name, field in fields.items() if field.required and name not in given]
    if missing:
        raise InvalidRequest(
            f"{plural(len(missing), 'input')} missing: {', '.join(missing)}",
            param=missing[0],
            hint="Give " + " ".join(f"{name}=…" for name in missing) + ", or a file with --input.",
        )
    return given
