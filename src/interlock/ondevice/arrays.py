"""Named arrays as bytes and back: what a fitted part of tier 0 is kept as. A zip of plain arrays, nothing executable.

Below: numpy. Above: `understand`, `passages`.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]


def pack(**arrays: npt.NDArray[Any]) -> bytes:
    """The arrays as bytes, for `unpack`."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack(data: bytes) -> Arrays:
    """The arrays of `pack`, by name. Raises ValueError for other or damaged bytes."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise ValueError(f"These {len(data)} bytes are no kept arrays or are damaged ({error}): fit again.") from error
