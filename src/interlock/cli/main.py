"""`interlock VERB …`: finds the verb, runs it, turns errors into words and exit codes.

Above: the shell. Below: one module per verb, each with `run(arguments) -> exit code`, imported only when it is asked for:
the interpreter and this file are all that `interlock --version` loads. argparse instead of click for the same reason:
8 ms of CPU to import against 28 ms (bare interpreter: 10 ms).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from errno import ENOSPC
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, NoReturn

from interlock import __version__

if TYPE_CHECKING:
    from interlock.core.errors import InterlockError

OK = 0
NOT_ALL_WELL = 1
"""It ran, and something in it did not succeed: faults found by `check`, a bad line, a failed task."""
USAGE = 2
CONFIGURATION = 3
OUTSIDE = 4
"""Something outside refused: the store, the network, a port that is taken."""
INTERRUPTED = 130

VERBS = {
    "init": "make a workspace to start from",
    "import": "bring the settings of another gateway over: LiteLLM's config.yaml",
    "check": "look for faults in a workspace's files, all at once",
    "run": "run a workflow over a file of inputs, or one input",
    "serve": "offer the gateway over HTTP to OpenAI's and Anthropic's clients",
    "reload": "have a running server follow its files, without a pause",
    "worker": "work on due tasks beside other workers and servers on the same store",
    "verify": "compare the ledger with a vendor's usage or cost export",
    "keys": "make, list, rotate and revoke virtual keys",
    "visits": "who is signed in to the dashboard; end sessions",
    "audit": "who did and who read what; whether the record of it was changed",
    "evidence": "a pack for reviewers: what is true of this workspace, and which clauses it speaks to",
    "erase": "delete what a user said and was told, or destroy a tenant's keys, and show that it is gone",
    "vault": "the keys under which texts are stored: how they stand, rotated, wrapped anew, destroyed",
    "cache": "how the semantic cache stands; clear stored answers, begin anew",
    "tasks": "list tasks",
    "task": "end, pause, let go on, signal or close one task; its result",
    "trace": "show one task or call, step by step",
    "replay": "decide a task once more from its log, and name what would come out otherwise",
    "fork": "go on from a step under another prompt or model, effects held back, and compare",
    "doctor": "attack the sandbox on this host, and name the layer that held each time; or look at the store",
    "sandbox-worker": "run the foreign code of gateways elsewhere, on a machine of its own",
    "redteam": "play a benchmark of attacks with a fully compromised model against the policy",
    "scan": "what guards would find in a text: personal data, credentials, injections",
    "policy": "play cases against the information-flow policy and compare its verdicts",
    "approve": "decide what waits for a person",
    "mcp": "approve what MCP servers say of their tools; offer an agent's tools to MCP clients",
    "route": "learned routes: train one on labels or the ledger, show one, judge one",
    "outcome": "say what became of a task: a success or not, and who says so",
    "retention": "how large the ledger is and what has left it; let go of what is older than the workspace says",
    "slo": "what was promised, the error budgets that are left, and what has gone wrong",
    "backup": "copy the store into a file while it is in use",
    "restore": "put a backup in the place of the store",
    "migrate": "how far the schema of the store is; bring it on before and after an upgrade",
    "pnl": "the token P&L: cost, revenue and margin per successful task",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of one run of the command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in (["--version"], ["-V"]):
        print(f"interlock {__version__}")
        return OK
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return OK if arguments else USAGE
    verb = arguments[0]
    if verb not in VERBS:
        print(unknown(verb), file=sys.stderr)
        return USAGE
    code = perform(verb, arguments[1:])
    if argv is None and (code == INTERRUPTED or still_at_work()):
        leave(code)
    return code


def still_at_work() -> bool:
    """A thread that nobody waits for (a tool that hangs, a tier that learns) has not ended."""
    threading = sys.modules.get("threading")
    return threading is not None and any(each.daemon for each in threading.enumerate())


def leave(code: int) -> NoReturn:
    """Ends the process at once: a thread that still learns would abort while the interpreter is taken down around it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def perform(verb: str, arguments: Sequence[str]) -> int:
    """Runs one verb; what goes wrong is said in words and as an exit code."""
    from interlock.core.errors import InterlockError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that cannot show a character shows its number
            stream.reconfigure(errors="backslashreplace")
    try:
        code = import_module(f"interlock.cli.{verb.replace('-', '_')}").run(arguments)
        sys.stdout.flush()
        return code
    except SystemExit as asked:  # argparse: --help, or a usage it does not know
        return asked.code if isinstance(asked.code, int) else USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        drop_stdout()  # the reader (`| head`) has what it wanted
        return OK
    except InterlockError as error:
        return explain(error)
    except OSError as error:
        if error.filename is None and error.errno != ENOSPC:
            raise
        if error.errno == ENOSPC:
            drop_stdout()
        print(f"interlock: {error.filename or 'standard output'}: {error.strerror}", file=sys.stderr)
        if error.filename:
            gone = isinstance(error, FileNotFoundError)
            hint = "that the name is right" if gone else "that there is room and that this user may write there"
            print(f"  See {hint}.", file=sys.stderr)
        return OUTSIDE


def drop_stdout() -> None:
    """Nothing more goes to stdout, so that the interpreter does not complain when it flushes it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def explain(error: InterlockError) -> int:
    """Prints what a person needs to know of `error` and returns its exit code."""
    from interlock.core.errors import (
        ConfigError,
        Exhausted,
        InvalidRequest,
        LedgerFull,
        StoreUnavailable,
        UnknownModel,
        UpstreamError,
    )

    from .text import clean, plural

    if isinstance(error, ConfigError):
        print(f"{plural(len(error.faults), 'fault')} in the configuration:", file=sys.stderr)
        for fault in error.faults:
            print(f"  {clean(fault)}", file=sys.stderr)
        return CONFIGURATION
    print(f"interlock: {clean(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"  {clean(error.hint)}", file=sys.stderr)
    if isinstance(error, InvalidRequest | UnknownModel):
        return USAGE
    outside = isinstance(error, StoreUnavailable | UpstreamError | LedgerFull | Exhausted)
    return OUTSIDE if outside or error.code == "cannot_listen" else NOT_ALL_WELL


def usage() -> str:
    """What `interlock --help` says."""
    width = max(len(verb) for verb in VERBS)
    verbs = "\n".join(f"  {verb:<{width}}  {what}" for verb, what in VERBS.items())
    return (
        "Usage: interlock VERB [OPTIONS]\n\n"
        f"{verbs}\n\n"
        "`interlock VERB --help` says more. Every verb takes --workspace DIR (default: the nearest folder upwards that\n"
        "holds an interlock.yaml) and, where it prints data, --json.\n"
        "Exit codes: 0 well · 1 it ran, not all of it succeeded · 2 usage · 3 configuration · 4 store or network · 130 ctrl-C"
    )


def unknown(verb: str) -> str:
    """What to say to a verb that does not exist."""
    from difflib import get_close_matches

    near = get_close_matches(verb, VERBS, n=1)
    return f"interlock: no verb {verb!r}; " + (
        f"did you mean `{near[0]}`?" if near else f"there are {', '.join(VERBS)}"
    )


if __name__ == "__main__":
    sys.exit(main())
