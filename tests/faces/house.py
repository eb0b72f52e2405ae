"""A served workspace in front of local vendors that speak their documented wire, for official clients to call.

One house stands for a whole test module (fixture `home`): clients call `home.url`, and behind it there is one vendor by each name: `oa`
(OpenAI), `an` (Anthropic), `ge` (Gemini), `own` (a server of OpenAI's dialect that nobody has heard of). A test says how a vendor answers
(`home.script`), calls through an official client (fixture `face`, see `clients`), and reads what the vendor saw (`home.asked`). A test that
breaks a vendor calls `home.fresh(vendor)`, a model of its own, since breakers are per deployment.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from interlock.app import Interlock
from interlock.server.serve import ServerSettings
from interlock.server.workspace import Opened, serve_workspace
from interlock.testing.upstream import Answer, Asked, Upstream
from interlock.testing.vendors import Vendor

KEY = "il-faces"
FILES = """\
workspace: faces
tenant: acme
store: interlock.db
server: {{api_key: il-faces}}
providers:
  oa: {{dialect: openai, base_url: "{oa}", api_key: sk-vendor}}
  an: {{dialect: anthropic, base_url: "{an}", api_key: sk-vendor}}
  ge: {{dialect: gemini, base_url: "{ge}", api_key: sk-vendor}}
  own: {{dialect: openai, base_url: "{own}", api_key: sk-vendor, options: {{accepts: [top_k]}}}}
  openai: {{dialect: openai, base_url: "{oa}", api_key: sk-vendor}}
  anthropic: {{dialect: anthropic, base_url: "{an}", api_key: sk-vendor}}
  gemini: {{dialect: gemini, base_url: "{ge}", api_key: sk-vendor}}
  sim: {{dialect: simulated, options: {{tool_call_share: 1.0, tool_calls: 2}}}}
models:
  support: {{small: [oa/gpt-4o-mini]}}
"""
MODELS = {
    "oa": "gpt-4o-mini",
    "an": "claude-sonnet-4-5",
    "ge": "gemini-2.5-flash",
    "own": "llama-4",
    "sim": "any",
}
THINKING = {"oa": "gpt-5-mini", "an": "claude-sonnet-4-5", "ge": "gemini-2.5-flash", "own": "qwen-4"}
"""Models that think, and show it where the vendor does."""
ENDING = {"an": "claude-opus-5-5"}
"""Where the usual model goes on with an unfinished message: one that does not."""
VENDORS = ("oa", "an", "ge", "own")


class House:
    """Everything that is up."""

    def __init__(self, url: str, folder: Path, il: Interlock, vendors: dict[str, Upstream | Vendor]) -> None:
        self.url = url
        self.folder = folder
        self.il = il
        self.vendors = vendors
        self._fresh = itertools.count(1)

    def script(self, vendor: str, answer: Answer | Callable[[Asked], Answer]) -> None:
        """How a vendor answers from now on."""
        self.vendors[vendor].script = answer if callable(answer) else lambda _asked: answer

    def asked(self, vendor: str) -> Asked:
        """The newest request, as the vendor saw it."""
        return self.vendors[vendor].asked[-1]

    def model(self, vendor: str) -> str:
        return f"{vendor}/{MODELS[vendor]}"

    def fresh(self, vendor: str) -> str:
        """A model of a vendor that nobody has called: whatever fails there opens no other test's breaker.

        It does not go on with an unfinished message, so that what breaks off stays broken.
        """
        return f"{vendor}/{ENDING.get(vendor, MODELS[vendor])}-{next(self._fresh)}"

    def aborted(self, vendor: str) -> int:
        """Requests of a vendor whose client went away before the reply was complete."""
        at = self.vendors[vendor]
        return at.aborted if isinstance(at, Vendor) else at.served.aborted


@asynccontextmanager
async def house(folder: Path) -> AsyncGenerator[House]:
    """The workspace as `interlock serve` serves it, on a free port."""
    async with AsyncExitStack() as stack:
        vendors: dict[str, Upstream | Vendor] = {
            "oa": Upstream(api_key="sk-vendor", strict=True),
            "own": Upstream(api_key="sk-vendor"),
            "an": Vendor("anthropic", api_key="sk-vendor"),
            "ge": Vendor("gemini", api_key="sk-vendor"),
        }
        for vendor in vendors.values():
            await stack.enter_async_context(vendor)
        (folder / "interlock.yaml").write_text(FILES.format(**{name: at.base_url for name, at in vendors.items()}))
        il = await stack.enter_async_context(Interlock.from_file(folder))
        opened: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve_workspace(il, ServerSettings(port=0, shutdown_s=1.0), opened.set_result))
        try:
            await asyncio.wait((serving, opened), return_when=asyncio.FIRST_COMPLETED)
            yield House((await opened).url if opened.done() else await serving, folder, il, vendors)  # pyright: ignore[reportArgumentType]
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
