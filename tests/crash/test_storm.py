"""Replicas and workers are restarted under load, politely and not, and PostgreSQL and Redis with them: no call and no task is lost.

A slice of `make soak-storm`; `INTERLOCK_STORM_S` sets how long it blows, `INTERLOCK_STORM_SEED` where.
"""

import os
import shutil

import pytest

from bench.workers_storm import storm
from tests.servers import postgres_programs

SECONDS = float(os.environ.get("INTERLOCK_STORM_S", "5"))
SEED = int(os.environ.get("INTERLOCK_STORM_SEED", "3"))


@pytest.mark.requirement("OP-04", "OP-06")
async def test_a_rolling_restart_under_load_loses_no_call_and_no_task():
    if postgres_programs() is None or shutil.which("redis-server") is None:
        pytest.skip("PostgreSQL or Redis is not installed: apt install postgresql redis-server")
    figures = await storm(SECONDS, SEED, every_s=1.0)
    print(figures)
    assert figures["calls answered"] > 0
    assert figures["tasks accepted"] > 0
    assert figures["mishaps"]
