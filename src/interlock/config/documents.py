"""Which files make a workspace, and the sections in them joined into one policy and the contracts. Above: load. Below: files, faults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.core.errors import ConfigError, Fault

from .checks import Draft
from .faults import validate
from .files import Files
from .names import nearest
from .schema import Settings
from .tree import Entry, Mark, Node, fault_at, parse

MAIN_FILE = "interlock.yaml"
_YAML = (".yaml", ".yml")
Contracts = Mapping[str, Mapping[str, Any]]
"""By name: what stands under `agent:` in a file, as Python has it."""
_SECTIONS = tuple(Settings.model_fields)


@dataclass(frozen=True, slots=True)
class Place:
    """Which files make the workspace."""

    root: Path
    documents: tuple[Path, ...]
    lone: bool
    """One file by itself: names that stand in other files are not known."""


@dataclass(frozen=True, slots=True)
class Documents:
    """What stands in the files."""

    policy: Node
    """The policy sections of all files as one tree, laid over the defaults."""
    drafts: tuple[Draft, ...]
    policy_whole: bool
    """Every policy section could be read, so a name that is not there does not exist."""
    contracts_whole: bool
    """So for the contracts."""


def located(path: Path) -> Place:
    """The files at `path`; raises ConfigError when there are none."""
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = nearest(path.name, siblings) if path.suffix in _YAML else ""
        raise ConfigError(
            [Fault(str(path), 1, 1, "", "no such file or folder", hint or "`interlock init` makes a workspace.")]
        )
    if path.name == MAIN_FILE:
        return _folder(path.parent)
    in_workspace = path.parent.name in ("agents", "policies")
    return Place(path.parent.parent if in_workspace else path.parent, (path,), lone=True)


def _folder(root: Path) -> Place:
    main = root / MAIN_FILE
    found = [main] if main.is_file() else []
    for name in ("policies", "agents"):
        folder = root / name
        if folder.is_dir():
            found.extend(sorted(each for each in folder.iterdir() if each.suffix in _YAML))
    if not found:
        hint = "`interlock init` makes a workspace; --workspace names another folder."
        raise ConfigError([Fault(str(main), 1, 1, "", f"no {MAIN_FILE} and no agents/ in this folder", hint)])
    return Place(root, tuple(found), lone=False)


def read_documents(files: Files, where: Place, contracts: Contracts) -> Documents:
    """What stands in the files, and contracts made in Python beside them; faults are noted in `files`."""
    noted = files.findings.faults
    sections: dict[str, Entry] = {}
    drafts: dict[str, Draft] = {}
    policy_whole = contracts_whole = True
    for path in where.documents:
        before = len(noted)
        node = files.yaml(path)
        own = {} if node is None else _sections(files, node, contract_expected=path.parent.name == "agents")
        contract = own.pop("agent", None)
        for name, entry in own.items():
            sections[name] = _merged(files, name, sections[name], entry) if name in sections else entry
        policy_whole = policy_whole and (len(noted) == before or path.parent.name == "agents")
        contracts_whole = contracts_whole and not (path.parent.name == "agents" and len(noted) > before)
        if contract is not None:
            _add(files, drafts, _draft(files, contract, path.stem, files.shown(path)))
    for name, given in contracts.items():
        _add(files, drafts, _made(files, name, given))
    top = Node(Mark(files.shown(where.documents[0]), 1, 1), sections)
    return Documents(_over(defaults(files.env), top), tuple(drafts.values()), policy_whole, contracts_whole)


def _sections(files: Files, node: Node, *, contract_expected: bool) -> dict[str, Entry]:
    """The file's top-level sections by their lower-case names; unknown ones are faults."""
    faults = files.findings.faults
    if not isinstance(node.value, Mapping):
        faults.append(node.fault("", "expected sections of key: value", f"Known: {', '.join(('agent', *_SECTIONS))}."))
        return {}
    found: dict[str, Entry] = {}
    for name, entry in node.value.items():
        key = name.lower()
        if key not in (*_SECTIONS, "agent"):
            in_contract = key in _contract_keys()
            hint = "This key belongs under `agent:`." if in_contract else nearest(key, (*_SECTIONS, "agent"))
            faults.append(fault_at(entry.key, name, "unknown section", hint))
        elif key in found:
            faults.append(
                fault_at(entry.key, name, "this section stands twice, in upper and in lower case", "Join them.")
            )
        else:
            found[key] = entry
    if contract_expected and "agent" not in found:
        faults.append(fault_at(node.mark, "agent", "this file holds no contract", "A contract stands under `agent:`."))
    return found


def _contract_keys() -> set[str]:
    from .contract import AgentContract

    return {field.alias or name for name, field in AgentContract.model_fields.items()}


def _merged(files: Files, key: str, first: Entry, second: Entry) -> Entry:
    """Sections of two files joined; a value that both set is a fault."""
    one, two = first.node, second.node
    if not isinstance(one.value, Mapping) or not isinstance(two.value, Mapping):
        message = f"{key} is already set in {first.key.file}:{first.key.line}"
        files.findings.faults.append(fault_at(second.key, key, message, "Keep it in one file."))
        return first
    joined = dict(one.value)
    for name, entry in two.value.items():
        joined[name] = _merged(files, f"{key}.{name}", joined[name], entry) if name in joined else entry
    return Entry(first.key, Node(one.mark, joined))


def _over(base: Node, top: Node) -> Node:
    """`top` laid over `base`, key by key."""
    if not isinstance(base.value, Mapping) or not isinstance(top.value, Mapping):
        return base if isinstance(base.value, Mapping) and top.value is None else top
    joined = dict(base.value)
    for name, entry in top.value.items():
        joined[name] = Entry(entry.key, _over(joined[name].node, entry.node)) if name in joined else entry
    return Node(top.mark, joined)


def defaults(env: Mapping[str, str]) -> Node:
    """The providers that exist without being configured."""
    path = Path(__file__).with_name("defaults.yaml")
    node = parse(path.read_text(encoding="utf-8"), str(path), env).node
    assert node is not None, "defaults.yaml ships with the package and is read by the tests"
    return node


def _made(files: Files, name: str, given: Mapping[str, Any]) -> Draft | None:
    """A contract made in Python, as the file would have it that says the same."""
    file = f"<contract {name}>"
    read = parse(json.dumps({"agent": dict(given)}, indent=1), file, files.env)
    files.findings.faults.extend(read.faults)
    files.findings.variables.update(read.variables)
    node = read.node
    if node is None or not isinstance(node.value, Mapping):
        return None
    return _draft(files, node.value["agent"], name, file)


def _add(files: Files, drafts: dict[str, Draft], draft: Draft | None) -> None:
    if draft is not None and draft.name in drafts:
        message = f"the agent {draft.name!r} stands in {drafts[draft.name].file} too"
        files.findings.faults.append(draft.fault(("name",), message, "Give one of them another name."))
    elif draft is not None:
        drafts[draft.name] = draft


def _draft(files: Files, entry: Entry, name: str, file: str) -> Draft | None:
    from .contract import AgentContract  # some thirty blocks, which a gateway without agents does without

    contract, faults = validate(AgentContract, entry.node, "agent")
    files.findings.faults.extend(faults)
    if contract is None:
        return None
    node = Node(entry.key, entry.node.value)
    return Draft(contract.name or name, contract, node, file)
