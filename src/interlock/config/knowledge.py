"""Examples of intents, articles and product lists: what tier 0 and the flows know. Above: load. Below: files, faults, blocks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field

from .blocks import Block, Text, Texts
from .faults import validate
from .files import Files
from .names import nearest
from .shapes import is_list, is_section
from .tree import Entry, Mark, Node, fault_at, parse
from .workspace import Article


class IntentExamples(Block):
    """How users say one thing."""

    examples: tuple[Text, ...] = Field(min_length=1)


class _IntentFile(Block):
    intents: dict[str, IntentExamples]


class FrontMatter(Block):
    """Keys beside these are a team's own business."""

    model_config = ConfigDict(extra="ignore")

    id: Text = ""
    title: Text = ""
    intents: Texts = ()
    updated: Text = ""


def read_intents(files: Files, path: Path, said_by: Mark, key: str) -> Mapping[str, tuple[str, ...]]:
    """Examples by intent; faults are noted in `files`."""
    node = files.yaml(path, said_by, key, env=False)
    if node is None:
        return {}
    wrapped = Node(node.mark, {"intents": Entry(node.mark, node)})
    read, faults = validate(_IntentFile, wrapped, "")
    files.findings.faults.extend(faults)
    return {} if read is None else {name: each.examples for name, each in read.intents.items()}


def read_articles(files: Files, folder: Path, said_by: Mark, key: str) -> tuple[Article, ...]:
    """The folder's articles; faults are noted in `files`."""
    if not folder.is_dir():
        siblings = folder.parent.iterdir() if folder.parent.is_dir() else ()
        hint = nearest(folder.name, [each.name for each in siblings if each.is_dir()])
        files.findings.faults.append(fault_at(said_by, key, f"no folder {files.shown(folder)}", hint))
        return ()
    articles: dict[str, Article] = {}
    for path in files.listed(folder, (".md",)):
        text = files.text(path)
        article = None if text is None else _article(files, path, text)
        if article is None:
            continue
        if article.id in articles:
            message = f"the id {article.id!r} is taken by {articles[article.id].path}"
            files.findings.faults.append(fault_at(Mark(files.shown(path), 1, 1), "id", message))
        articles.setdefault(article.id, article)
    return tuple(articles.values())


def _article(files: Files, path: Path, text: str) -> Article | None:
    shown = files.shown(path)
    front, body = _split(text)
    parsed = parse(front, shown, first_line=2)
    files.findings.faults.extend(parsed.faults)
    if parsed.node is None:
        return None
    meta, faults = validate(FrontMatter, parsed.node, "")
    files.findings.faults.extend(faults)
    if meta is None:
        return None
    if not body.strip():
        files.findings.warnings.append(fault_at(Mark(shown, 1, 1), "", "the article is empty"))
        return None
    return Article(
        id=meta.id or path.stem,
        title=meta.title or path.stem,
        text=body.strip(),
        intents=meta.intents,
        path=shown,
        updated=meta.updated,
    )


def _split(text: str) -> tuple[str, str]:
    """The YAML between the first two lines of `---`, and what follows."""
    lines = text.splitlines(keepends=True)
    if not lines or lines[0].strip() != "---":
        return "", text
    end = next((at for at, line in enumerate(lines[1:], 1) if line.strip() == "---"), None)
    return ("", text) if end is None else ("".join(lines[1:end]), "".join(lines[end + 1 :]))


def read_products(files: Files, name: str, said_by: Mark, key: str) -> tuple[str, ...]:
    """Product names from `file.txt` (one per line), or a list in `file.json#/path/to/it` of names or of objects with `name`."""
    file, _, pointer = name.partition("#")
    path = files.inside(file, said_by, key)
    if path is None:
        return ()
    if path.suffix == ".txt":
        text = files.text(path, said_by, key) or ""
        return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))
    if path.suffix == ".json":
        value = files.json(path, said_by, key)
    else:
        node = files.yaml(path, said_by, key, env=False)
        value = None if node is None else node.data()
    if value is None:
        return ()
    names = _names(_pointed(value, pointer))
    if not names:
        hint = "Expected a list of names, or of objects with `name`; products.json#/items points into a file."
        files.findings.faults.append(fault_at(said_by, key, f"no product names at {name!r}", hint))
    return names


def _pointed(value: Any, pointer: str) -> Any:
    for part in pointer.strip("/").split("/") if pointer.strip("/") else ():
        value = value.get(part) if is_section(value) else None
    return value


def _names(value: Any) -> tuple[str, ...]:
    if not is_list(value):
        return ()
    names: list[Any] = [item.get("name") if is_section(item) else item for item in value]
    return tuple(name for name in names if isinstance(name, str) and name)
