"""An older version, from its own source, and this one work on one PostgreSQL while it is upgraded under load: nothing is lost.

A slice of `make soak-upgrade`.
"""

import shutil

import pytest

from bench.workers_upgrade import upgrade
from tests.servers import postgres_programs


@pytest.mark.requirement("OP-06", "OP-04")
async def test_old_and_new_versions_side_by_side_lose_no_call_and_no_task_through_pre_a_rolling_restart_and_post():
    if postgres_programs() is None or shutil.which("redis-server") is None:
        pytest.skip("PostgreSQL or Redis is not installed: apt install postgresql redis-server")
    try:
        figures = await upgrade(seed=1, workers=1)
    except LookupError as missing:
        pytest.skip(f"{missing}: the older version is taken out of the repository's history")
    print(figures)
    assert figures["calls answered"] > 0
    assert figures["tasks accepted"] > 0
    assert "older Interlock are open" in figures["migrations"][1], "post waits until the old ones are gone"
