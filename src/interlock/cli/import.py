"""`interlock import litellm FILE`: brings the settings of another gateway over, with an account of every key. Above: cli.main. Below: config."""  # noqa: N999 - the module has the name of its verb

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interlock.core.errors import ConfigError, Fault

from .check import check
from .options import CONFIG_NAME, parser
from .text import clean, plural

TITLES = {"carried": "Carried over", "changed": "Means something else here", "left": "Not carried over"}


def options() -> argparse.ArgumentParser:
    """What `interlock import` takes."""
    made = parser(
        "import", "Writes an interlock.yaml from the settings of another gateway, and says what became of each key."
    )
    made.add_argument(
        "source", choices=["litellm"], metavar="litellm", help="whose settings they are: LiteLLM's config.yaml"
    )
    made.add_argument("file", type=Path, metavar="FILE", help="the file that `litellm --config` takes")
    made.add_argument(
        "-o", "--out", type=Path, metavar="FILE", default=Path(CONFIG_NAME), help=f"default: {CONFIG_NAME}"
    )
    made.add_argument("--force", action="store_true", help="write over a file that is there")
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when the file was written and is valid.

    Raises:
        ConfigError: FILE is none of that gateway's, or there is a file already.
    """
    from interlock.config.litellm import convert

    given = options().parse_args(arguments)
    out: Path = given.out / CONFIG_NAME if given.out.is_dir() else given.out
    if out.exists() and not given.force:
        hint = "Name another file with --out, or write over it with --force."
        raise ConfigError([Fault(str(out), 0, 0, "", "there is a file of that name", hint)])
    imported = convert(given.file.read_text(encoding="utf-8"), str(given.file))
    out.write_text(imported.text(given.file.name), encoding="utf-8")
    found = check(out, {})
    report = imported.report
    if given.json:
        print(json.dumps(_data(out, report, found), ensure_ascii=False))
    else:
        print(clean(_text(out, report, found)))
    return 0 if found.ok else 1


def _data(out: Path, report: Any, found: Any) -> dict[str, Any]:
    items = [{"key": item.key, "fate": item.fate, "said": item.said} for item in report.items]
    faults = [str(fault) for fault in found.faults]
    return {"file": str(out), "ok": found.ok, "items": items, "secrets": report.secrets, "faults": faults}


def _text(out: Path, report: Any, found: Any) -> str:
    lines: list[str] = []
    for fate, title in TITLES.items():
        items = report.of(fate)
        if items:
            lines += [f"{title} ({len(items)})", *(f"  {item.key}: {item.said}" for item in items), ""]
    if report.secrets:
        lines += ["Credentials that stood in the file in clear; set these variables to them:"]
        lines += [f"  {name}  ({key})" for name, key in report.secrets.items()] + [""]
    verdict = "it is valid" if found.ok else f"it has {plural(len(found.faults), 'fault')}"
    lines.append(f"Wrote {out}: {verdict}. Start it with `interlock serve -w {out.parent}`.")
    lines += [f"  {fault}" for fault in found.faults]
    return "\n".join(lines)
