"""One version for everything that a workspace's files say. Above: server. Below: config."""

from __future__ import annotations

from hashlib import blake2b

from interlock.config.versions import content_hash
from interlock.config.workspace import Workspace


def version_of(workspace: Workspace) -> str:
    """12 hex digits over settings, learned routes, contracts, prompts, knowledge and tools; secrets do not take part."""
    agents = [
        [
            name,
            each.versions.contract,
            each.versions.prompt,
            each.versions.route,
            {intent: list(texts) for intent, texts in each.intents.items()},
            [[article.id, article.title, article.text] for article in each.articles],
        ]
        for name, each in sorted(workspace.agents.items())
    ]
    file = workspace.tools_file
    tools = blake2b(file.read_bytes()).hexdigest() if file is not None and file.is_file() else ""
    return content_hash([workspace.settings, workspace.versions.route, agents, tools])
