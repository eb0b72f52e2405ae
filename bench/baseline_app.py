"""The yardstick of start-up: a bare uvicorn app. `python -m bench.baseline_app PORT` answers everything with 200."""

from __future__ import annotations

import sys
from typing import Any

import uvicorn


async def app(_scope: dict[str, Any], _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", lifespan="off")
