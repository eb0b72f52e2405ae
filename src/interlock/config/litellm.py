"""LiteLLM's config.yaml read as an interlock.yaml, with an account of every key: what was carried over, what means something else here, what was left.

Above: cli. Below: litellm_models, litellm_rest, PyYAML. The file's form is that of LiteLLM's documentation ("Config.yaml", "All settings", "Load Balancing",
"Fallbacks", read 2026-11). Credentials are never copied: a reference to the environment stays one, and one that stands in the file in clear becomes a
reference whose name the report tells.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import yaml
from msgspec import Struct

from interlock.core.errors import ConfigError, Fault

from .shapes import is_section

MAX_CHARS = 2_000_000
Fate = Literal["carried", "changed", "left"]
_REFERENCE = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)")


class Item(Struct, frozen=True):
    """What became of one key of the file."""

    key: str
    fate: Fate
    said: str
    """Where it stands now, what it means here, or why it was left."""


class Report:
    """The account, filled while the file is read."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.secrets: dict[str, str] = {}
        """Environment variable that now stands for a credential in clear → the key where that one stands."""

    def carried(self, key: str, said: str) -> None:
        self.items.append(Item(key, "carried", said))

    def changed(self, key: str, said: str) -> None:
        self.items.append(Item(key, "changed", said))

    def left(self, key: str, why: str) -> None:
        self.items.append(Item(key, "left", why))

    def of(self, fate: Fate) -> list[Item]:
        return [item for item in self.items if item.fate == fate]

    def reference(self, value: Any, key: str, name: str) -> str:
        """`value` as it may stand in our file: a reference to the environment. `name`: the variable for a value in clear."""
        found = _REFERENCE.fullmatch(str(value).strip())
        if found:
            return f"${{{found.group(1)}:-}}"
        variable = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
        self.secrets[variable] = key
        self.changed(key, f"stands there in clear; set the environment variable {variable} to it")
        return f"${{{variable}:-}}"


class Imported(Struct, frozen=True):
    """An interlock.yaml and the account of how it came about."""

    document: dict[str, Any]
    report: Report

    def text(self, source: str) -> str:
        """The file as it is written."""
        head = f"# Made from {source} by `interlock import litellm`. What was not carried over stands in its report.\n"
        body = yaml.safe_dump(self.document, sort_keys=False, allow_unicode=True, width=120)
        return f"{head}{body}"


def read(text: str, name: str) -> dict[str, Any]:
    """The sections of a LiteLLM config file. Raises ConfigError: it is none."""
    if len(text) > MAX_CHARS:
        raise _unreadable(name, 0, 0, f"the file has more than {MAX_CHARS:,} characters")
    try:
        found: Any = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise _unreadable(name, line, column, f"not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise _unreadable(name, 0, 0, f"not YAML: {error}") from None
    if not is_section(found) or not isinstance(found.get("model_list"), list):
        raise _unreadable(name, 1, 1, "no `model_list`, so this is no config file of LiteLLM's")
    return {str(key): value for key, value in found.items()}


def convert(text: str, name: str) -> Imported:
    """The file's content as an interlock.yaml.

    Raises:
        ConfigError: it is no config file of LiteLLM's.
    """
    from .litellm_models import models_of
    from .litellm_rest import rest_of

    sections = read(text, name)
    report = Report()
    found = models_of(sections, report)
    document = rest_of(sections, found, report)
    return Imported({key: value for key, value in document.items() if value not in ({}, [], None)}, report)


def section(value: Any) -> dict[str, Any]:
    """A section whose keys are texts; empty where it is none."""
    return {str(key): each for key, each in value.items()} if is_section(value) else {}


def _unreadable(name: str, line: int, column: int, message: str) -> ConfigError:
    return ConfigError([Fault(name, line, column, "", message, "Give the file that `litellm --config` takes.")])
