"""A trivial durable step of other engines, in CPU seconds: run by a Python that has them, prints one line of JSON.

Versions and settings: DBOS on SQLite with WAL set before its start, default serializer; LangGraph's graph of one node that repeats, SqliteSaver, durability=sync.
"""

# pyright: basic

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import TypedDict

RESULT = {
    "order": "FO-10231",
    "status": "sent",
    "carrier": "post",
    "note": "left the warehouse on Tuesday, due on Friday",
}


def dbos_step(folder: Path, steps: int) -> tuple[float, float]:
    """One workflow alone, and 50 at once."""
    from dbos import DBOS  # pyright: ignore[reportMissingImports]

    logging.disable(logging.WARNING)
    file = folder / "dbos.db"
    sqlite3.connect(file).execute("PRAGMA journal_mode = WAL").close()
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{file}", "log_level": "ERROR"})

    @DBOS.step()
    def look(order: str) -> dict[str, str]:
        return {**RESULT, "asked": order}

    @DBOS.workflow()
    def work(count: int) -> int:
        for number in range(count):
            look(f"FO-{number}")
        return count

    @DBOS.step()
    async def look_too(order: str) -> dict[str, str]:
        return {**RESULT, "asked": order}

    @DBOS.workflow()
    async def work_too(count: int) -> int:
        for number in range(count):
            await look_too(f"FO-{number}")
        return count

    async def crowd(count: int) -> None:
        await asyncio.gather(*(work_too(count) for _ in range(50)))

    DBOS.launch()
    work(5)
    began = time.process_time()
    work(steps)
    alone = (time.process_time() - began) / steps
    asyncio.run(crowd(1))
    began = time.process_time()
    asyncio.run(crowd(max(4, steps // 25)))
    at_once = (time.process_time() - began) / (50 * max(4, steps // 25))
    DBOS.destroy()
    return alone, at_once


class State(TypedDict):
    left: int
    last: dict[str, str]


def langgraph_step(folder: Path, steps: int) -> float:
    from langgraph.checkpoint.sqlite import SqliteSaver  # pyright: ignore[reportMissingImports]
    from langgraph.graph import END, START, StateGraph  # pyright: ignore[reportMissingImports]

    def look(state: State) -> State:
        return {"left": state["left"] - 1, "last": RESULT}

    graph = StateGraph(State)
    graph.add_node("look", look)
    graph.add_edge(START, "look")
    graph.add_conditional_edges("look", lambda state: "look" if state["left"] else END)
    with SqliteSaver.from_conn_string(str(folder / "langgraph.db")) as saver:
        compiled = graph.compile(checkpointer=saver)

        def work(name: str, count: int) -> None:
            config = {"configurable": {"thread_id": name}, "recursion_limit": count + 5}
            compiled.invoke({"left": count, "last": {}}, config, durability="sync")

        work("warm", 5)
        began = time.process_time()
        work("measured", steps)
        used = time.process_time() - began
    return used / steps


if __name__ == "__main__":
    count = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        alone, at_once = dbos_step(Path(name), count)
        print(json.dumps({"dbos": alone, "dbos_crowd": at_once, "langgraph": langgraph_step(Path(name), count)}))
