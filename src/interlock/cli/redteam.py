"""`interlock redteam`: benchmarks of attacks played against the shipped policy by a model that is fully compromised. Above: cli.main. Below: redteam."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .options import parser, print_json
from .text import clean

SUITES = ("workspace", "travel", "banking", "slack")
MISSING = "interlock redteam: the benchmark is not installed.\n  pip install 'agentdojo==0.1.35'   (a throw-away environment will do; nothing of it is shipped here)"


def options() -> argparse.ArgumentParser:
    """What `interlock redteam` takes."""
    made = parser(
        "redteam",
        "Plays a benchmark of attacks with a model that obeys every injected word, against the information-flow policy.",
    )
    made.add_argument(
        "benchmark",
        choices=["agentdojo", "injecagent", "tau", "own"],
        help="which benchmark; agentdojo's package has to be installed; own: the contracts of your own tools",
    )
    made.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="of injecagent and tau: the published file, or the folder of the published sets (default $INTERLOCK_BENCH_DATA)",
    )
    made.add_argument("--agent", default="", metavar="NAME", help="of own: whose tools, in the workspace")
    made.add_argument("--suite", action="append", choices=SUITES, help="only this suite (again for more)")
    made.add_argument(
        "--adaptive", action="store_true", help="an attacker who varies the benchmark's calls, on a sample of the pairs"
    )
    made.add_argument(
        "--sample",
        type=int,
        default=100,
        metavar="PAIRS",
        help="with --adaptive: how many pairs (default 100; 0 for all 949)",
    )
    made.add_argument(
        "--seed", type=int, default=7, help="with --adaptive: of the sample and of what the search draws (default 7)"
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when no attack on a tool succeeded and nothing legitimate was denied, 1 otherwise, or when the benchmark is not installed."""
    made = options()
    given = made.parse_args(arguments)
    if given.benchmark == "own":
        if not given.agent:
            made.error("own: name the agent (--agent NAME) whose tools are attacked")
        found, broken = _own(given.workspace, given.agent)
        return _tell(found, broken=broken, as_json=given.json)
    if given.benchmark != "agentdojo":
        found, broken = _published(given.benchmark, given.data)
        return _tell(found, broken=broken, as_json=given.json)
    if find_spec("agentdojo") is None:
        print(MISSING, file=sys.stderr)
        return 1
    suites = tuple(dict.fromkeys(given.suite or SUITES))
    if given.adaptive:
        found, broken = _adaptive(suites, given.sample, given.seed)
    else:
        found, beside, broken = _static(suites)
        _tell(beside, broken=broken, as_json=given.json)  # the figures themselves are the last line
    return _tell(found, broken=broken, as_json=given.json)


def _tell(found: dict[str, Any], *, broken: bool, as_json: bool) -> int:
    if as_json:
        print_json(found)
    else:
        print("\n".join(clean(f"{name:<22} {value}") for name, value in found.items()))
    return 1 if broken else 0


def _own(workspace: Path | None, agent: str) -> tuple[dict[str, Any], bool]:
    import msgspec

    from interlock.redteam.own import measure

    from .policy import policy_of

    found = measure(policy_of(workspace, agent)[0])
    return msgspec.to_builtins(found), found.blocked < 1


def _published(benchmark: str, data: Path | None) -> tuple[dict[str, Any], bool]:
    import msgspec

    from interlock.redteam import injecagent, tau
    from interlock.redteam.published import data_path, read

    if benchmark == "injecagent":
        attacks = injecagent.measure(read(data_path(data, injecagent.FILE)))
        return msgspec.to_builtins(attacks), attacks.attacker_blocked < 1 or attacks.user_allowed < 1
    benign = tau.measure(read(data_path(data, tau.TASKS)), read(data_path(data, tau.SHOP)))
    return msgspec.to_builtins(benign), benign.writes_denied > 0


def _static(suites: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any], bool]:
    import msgspec

    from interlock.redteam.figures import measure

    found, beside = measure(suites)
    return msgspec.to_builtins(found), msgspec.to_builtins(beside), found.tool_action_asr > 0


def _adaptive(suites: Sequence[str], sample: int, seed: int) -> tuple[dict[str, Any], bool]:
    import random

    import msgspec

    from interlock.redteam.adaptive import measure

    found = measure(suites, sample, random.Random(seed))
    return msgspec.to_builtins(found), found.pairs_broken > 0
