"""What models are able to take, and their habits on the wire: data with source and date, in `profiles.json`.

Above: providers, `app`. Below: `core`, msgspec. The first row whose pattern matches `provider/model` or the bare model name counts.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from interlock.core.ports import Deployment


class ModelProfile(Struct, frozen=True, forbid_unknown_fields=True):
    """One row."""

    match: tuple[str, ...]
    """Patterns with `*` over `provider/model` or the model name."""
    context_window: int = 128_000
    max_output: int = 16_384
    logprobs: bool = False
    """Token probabilities can be asked for."""
    output_cap: str = "max_tokens"
    """OpenAI dialect: the field that caps the output."""
    sampling: bool = True
    """Temperature, top_p and penalties may be set; they are left out for models that refuse them."""
    tools: Literal["yes", "without_reasoning", "no"] = "yes"
    """OpenAI dialect: whether tools can be given in chat completions; some models take them only with reasoning off, some not at all."""
    thinking: Literal["", "no", "effort", "budget", "adaptive"] = ""
    """How the model is told how much to think: not at all, by a word, by a number of tokens, or by a word while it decides itself;
    empty where it is not known."""
    native_schema: bool = False
    """The vendor itself keeps answers and tool arguments to a schema, within its subset of JSON Schema."""
    continues: bool = False
    """An unfinished message of the assistant at the end of a conversation is gone on with at its last character."""
    continue_with: dict[str, bool | str] = {}
    """Fields of its dialect that say so, where it has to be told."""
    assumed: bool = False
    """The figures are assumed: they serve estimates, and nothing is refused or capped for their sake."""
    source: str = ""
    date: str = ""


UNKNOWN = ModelProfile(match=("*",), assumed=True, source="none: assumed for a model that no row names")
KEPT = 4_096


class Profiles:
    """Rows, and what was looked up so far."""

    def __init__(self, rows: tuple[ModelProfile, ...]) -> None:
        self._rows = rows
        self._known: dict[str, ModelProfile] = {}

    def of(self, provider: str, model: str) -> ModelProfile:
        """The profile of a model; that of an unknown model, which promises little, where no row matches."""
        name = f"{provider}/{model}"
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            known = self._known[name] = self._find(name, model)
        return known

    def _find(self, name: str, model: str) -> ModelProfile:
        bare = model.rsplit("/", 1)[-1]
        for row in self._rows:
            if any(fnmatchcase(name, pattern) or fnmatchcase(bare, pattern) for pattern in row.match):
                return row
        return UNKNOWN


def load(path: Path | None = None) -> Profiles:
    """The shipped rows, or those of `path`."""
    data = (path or Path(__file__).with_name("profiles.json")).read_bytes()
    return Profiles(msgspec.json.decode(data, type=tuple[ModelProfile, ...]))


@cache
def shipped() -> Profiles:
    """The rows of this package, read once."""
    return load()


def profile_of(deployment: Deployment) -> ModelProfile:
    """The shipped profile of what a deployment serves."""
    return shipped().of(deployment.provider, deployment.model)
