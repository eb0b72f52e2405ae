"""YAML as plain data, for texts that are not settings: shipped tables, outputs of tools. Above: governance, redteam. Below: PyYAML."""

from __future__ import annotations

from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def plain_yaml(text: str) -> Any:
    """The data that a text of YAML holds; the text itself where it is none."""
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506 - both loaders are the safe one
    except (yaml.YAMLError, ValueError):
        return text
