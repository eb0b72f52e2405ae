"""Where docs/requirements.md and the marks on tests disagree.

The tests are read, not imported: a mark is a call of `pytest.mark.requirement` whose arguments are string literals.
`--write` sets `open` to `partly` where a test claims the id, and `partly` to `open` where none does; `proved` is a person's judgement.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "docs" / "requirements.md"
TESTS = ROOT / "tests"
STATUSES = ("proved", "partly", "open")
ROW = re.compile(r"^\| (?P<id>[A-Z]{2}-\d{2}) \| (?P<status>\w+) \|", re.MULTILINE)


def manifest(text: str) -> dict[str, str]:
    """Status by requirement id. Raises ValueError for an id listed twice or a status that is none of STATUSES."""
    found: dict[str, str] = {}
    for row in ROW.finditer(text):
        if row["id"] in found:
            raise ValueError(f"{MANIFEST.name}: {row['id']} is listed twice")
        if row["status"] not in STATUSES:
            raise ValueError(
                f"{MANIFEST.name}: {row['id']} has status {row['status']!r}, expected one of {', '.join(STATUSES)}"
            )
        found[row["id"]] = row["status"]
    return found


def claims(tests: Path) -> dict[str, list[str]]:
    """`file:line` of every mark, by requirement id, over all test files under a folder."""
    found: dict[str, list[str]] = {}
    for path in sorted(tests.rglob("*.py")):
        for line, requirement in _marks(path):
            found.setdefault(requirement, []).append(f"{path.relative_to(tests.parent)}:{line}")
    return found


def _marks(path: Path) -> Iterator[tuple[int, str]]:
    source = path.read_text(encoding="utf-8")
    if "mark.requirement" not in source:
        return
    for node in ast.walk(ast.parse(source, filename=str(path))):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.requirement")):
            continue
        for argument in node.args:
            if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                raise ValueError(
                    f"{path}:{node.lineno}: requirement marks take string literals, found {ast.unparse(argument)}"
                )
            yield node.lineno, argument.value


def disagreements(statuses: dict[str, str], claimed: dict[str, list[str]]) -> list[str]:
    """One sentence per disagreement between the manifest and the marks; empty when they agree."""
    faults = [
        f"{requirement} is claimed at {places[0]} but is not in {MANIFEST.name}"
        for requirement, places in sorted(claimed.items())
        if requirement not in statuses
    ]
    for requirement, status in statuses.items():
        places = claimed.get(requirement, [])
        if status == "open" and places:
            faults.append(f"{requirement} is open, yet a test claims it at {places[0]}: set it to partly or proved")
        if status != "open" and not places:
            faults.append(
                f"{requirement} is {status}, yet no test claims it: set it to open, or mark the test that shows it"
            )
    return faults


def reconciled(text: str, claimed: dict[str, list[str]]) -> str:
    """The manifest with `open` and `partly` set as the marks say; `proved` stays."""

    def row(match: re.Match[str]) -> str:
        status = match["status"]
        if status != "proved":
            status = "partly" if match["id"] in claimed else "open"
        return f"| {match['id']} | {status} |"

    return ROW.sub(row, text)


def main(arguments: list[str]) -> int:
    text = MANIFEST.read_text(encoding="utf-8")
    claimed = claims(TESTS)
    if "--write" in arguments:
        text = reconciled(text, claimed)
        MANIFEST.write_text(text, encoding="utf-8")
    statuses = manifest(text)
    faults = disagreements(statuses, claimed)
    for fault in faults:
        print(fault)
    counts = ", ".join(f"{sum(status == each for status in statuses.values())} {each}" for each in STATUSES)
    print(f"{len(statuses)} requirements: {counts}; {len(faults)} disagreements")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
