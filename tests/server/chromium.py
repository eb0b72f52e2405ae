"""A real browser that tests click in: Chromium without a window, spoken to over a pipe.

The protocol is Chrome's DevTools protocol (https://chromedevtools.github.io/devtools-protocol/): JSON messages that end in a zero byte.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SWITCHES = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --remote-debugging-pipe"
)
PATIENCE_S = 60.0


class Tab:
    """One page. Questions that it asks (`confirm`) are answered with yes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self._reader, self._writer = reader, writer
        self._number, self._session = 0, ""
        self.questions: list[str] = []
        self.complaints: list[str] = []
        """What its console said in red, such as a breach of the page's policy."""

    async def open(self) -> None:
        target = await self._ask("Target.createTarget", {"url": "about:blank"})
        attached = await self._ask("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self._ask(f"{domain}.enable", {})

    async def go(self, address: str) -> None:
        """Opens an address, until it has loaded."""
        await self._send("Page.navigate", {"url": address})
        await self._arrived()

    async def run(self, script: str) -> Any:
        """What a piece of JavaScript comes to on the page, when its promise is kept where it is one."""
        given = {"expression": script, "returnByValue": True, "awaitPromise": True}
        found = await self._ask("Runtime.evaluate", given)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def follow(self, script: str) -> None:
        """Runs what leads to another page, until that has loaded."""
        await self._send("Runtime.evaluate", {"expression": script})
        await self._arrived()

    async def _arrived(self) -> None:
        await self._until("Page.frameNavigated")  # a load before it is that of the page before
        await self._until("Page.loadEventFired")

    async def _ask(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
        number = await self._send(method, given)
        return (await self._until("", number))["result"]

    async def _send(self, method: str, given: dict[str, Any]) -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": given}
        if self._session:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        return self._number

    async def _until(self, event: str, number: int = 0) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                said = json.loads((await self._reader.readuntil(b"\0"))[:-1])
                await self._heard(said)
                if (event and said.get("method") == event) or (number and said.get("id") == number):
                    return said

    async def _heard(self, said: dict[str, Any]) -> None:
        method, given = said.get("method", ""), said.get("params", {})
        if method == "Page.javascriptDialogOpening":
            self.questions.append(given["message"])
            await self._send("Page.handleJavaScriptDialog", {"accept": True})
        elif method == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.complaints.append(given["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(given["exceptionDetails"]))


@asynccontextmanager
async def browsing(profile: Path) -> AsyncGenerator[Tab]:
    """A browser with a profile of its own, and a tab in it."""
    assert CHROMIUM is not None
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    # The pipe's ends are 3 and 4 by definition; a shell puts them there.
    command = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", command, CHROMIUM, *SWITCHES.split(), f"--user-data-dir={profile}",
        pass_fds=(theirs_in, theirs_out), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(limit=2**26)
    incoming, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours_in, "rb"))
    outgoing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(ours_out, "wb"))
    tab = Tab(reader, outgoing)
    try:
        await tab.open()
        yield tab
    finally:
        outgoing.close()
        incoming.close()
        if process.returncode is None:
            process.kill()
        await process.wait()
