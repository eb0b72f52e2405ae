"""Published sets that are read by path and are no part of this project. Above: injecagent, tau. Below: core.errors."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import msgspec

from interlock.core.errors import ConfigError, Fault


def data_path(given: Path | None, file: Path) -> Path:
    """Where a set is: the file or folder that was given, else in `INTERLOCK_BENCH_DATA`, else beside the project in `../shared/data`."""
    root = given or Path(os.environ.get("INTERLOCK_BENCH_DATA", "../shared/data"))
    return root if root.is_file() else root / file if (root / file).exists() else root / file.name


def read(path: Path) -> Any:
    """The JSON of a file, unpacked where it ends in `.gz`; `ConfigError` where there is none."""
    try:
        text = path.read_bytes()
        return msgspec.json.decode(gzip.decompress(text) if path.suffix == ".gz" else text)
    except (OSError, msgspec.DecodeError) as error:
        said = "it is not there" if isinstance(error, FileNotFoundError) else str(error)
        hint = "Name the file with --data, or set INTERLOCK_BENCH_DATA to the folder of the published sets."
        raise ConfigError([Fault(str(path), 0, 0, "", f"this set cannot be read: {said}", hint)]) from error
