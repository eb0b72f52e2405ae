"""What tests of guards share: a workspace, a vendor that repeats what it was told, and planted data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interlock.app import Interlock
from interlock.core.chat import Chunk
from interlock.core.ports import ChatReply
from interlock.testing.upstream import Answer, Asked, Upstream
from tests.words import every_word

from .conftest import Folder

MAIL, CARD, PHONE = "jane.doe@example.com", "4111 1111 1111 1111", "+44 20 7946 0958"
CANARY = "sk-proj-Zx81kQm4Tn7Rb2Vw9Lc5Yd3Gh6Jf0PsAeUiOy"
SAID = f"I am {MAIL}, card {CARD}, call {PHONE}, key {CANARY}"
FILES = "models: {support: openai/gpt-4o-mini}\nlogging: {store_prompts: full}\n"
PII = "pii: {key: 'a key of more than sixteen bytes'}\n"


def opened(folder: Folder, vendor: Upstream, more: str | None = None) -> Interlock:
    folder.provider("openai", vendor.base_url)
    if more is not None:
        folder.write("interlock.yaml", FILES + more)
    return Interlock.from_file(folder.root)


def parrot(pieces: int | None = None, around: str = "You said: {}") -> Any:
    def answer(asked: Asked) -> Answer:
        return Answer(text=around.format(asked.body["messages"][-1]["content"]), pieces=pieces)

    return answer


def stored(root: Path) -> bytes:
    """Everything that was written, compressed texts too, the keys apart."""
    return every_word(root / ".interlock")


async def pieces_of(il: Interlock, text: str) -> tuple[list[str], ChatReply]:
    got: list[str] = []
    reply: ChatReply | None = None
    async for piece in il.stream("support", text):
        if isinstance(piece, Chunk):
            got.append(piece.text)
        else:
            reply = piece
    assert reply is not None
    return got, reply
