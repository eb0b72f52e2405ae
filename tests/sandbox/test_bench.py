"""The bench of the sandbox runs whole, here with few rounds and without thresholds; `make bench-sandbox` holds its figures against their goals."""

import json
import os
import subprocess
import sys

import pytest

from . import kit

GLANCE = """
import asyncio, json
from bench import sandbox

async def glance(meter):
    found = await sandbox.small_calls(meter, 1, 2)
    found += await sandbox.data_calls(meter, 1)
    found += await sandbox.sessions(10)
    return found + await sandbox.crowds()

meter = sandbox.Meter()
try:
    print(json.dumps(asyncio.run(glance(meter))))
finally:
    meter.close()
"""


@pytest.mark.requirement("TL-06")
def test_every_figure_is_measured():
    kit.require_namespaces()
    pytest.importorskip("pandas")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    told = subprocess.run(
        [sys.executable, "-c", GLANCE], cwd=kit.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    figures = {each["figure"]: each for each in json.loads(told.stdout)}

    assert all(each["value"] >= 0 for each in figures.values())
    assert figures["200 calls in flight: failed"]["value"] == 0
    goals = [name for name, each in figures.items() if each["goal"] is not None]
    assert len(goals) >= 5, goals
