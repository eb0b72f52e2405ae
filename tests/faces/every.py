"""Every dialect's official client, by name."""

from __future__ import annotations

from typing import Any

from .clients import Anthropic, OpenAI
from .responses import Responses

FACES: dict[str, Any] = {"openai": OpenAI, "responses": Responses, "anthropic": Anthropic}
