"""A fetched page as plain text: what a reader would see, and nothing that only a machine would.

Above: `tools/fetch`. Below: trafilatura and lxml, an extra. Hidden elements, comments, attributes, scripts, metadata and invisible characters never reach
the text; what is left is still somebody else's words, and is labelled so by the caller.
"""

from __future__ import annotations

import re
from typing import Any, cast

import lxml.etree
import lxml.html
import trafilatura

_ETREE, _HTML = cast("Any", lxml.etree), cast("Any", lxml.html)
"""They have no types of their own."""

_DROPPED = (
    "script", "style", "noscript", "template", "iframe", "object", "embed", "svg", "math", "canvas", "audio", "video", "form", "input", "textarea",
    "select", "button", "meta", "link", "base", "dialog",
)  # fmt: skip
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0(?:\.0+)?\s*(?:;|!|$)|font-size\s*:\s*0|"
    r"(?:left|top|right|bottom|text-indent|margin-left|margin-top)\s*:\s*-\d{3,}|"
    r"(?:width|height|max-height|max-width)\s*:\s*[01](?:px|em|rem|%)?\s*(?:;|!|$)|"
    r"clip\s*:\s*rect\(\s*0|clip-path\s*:\s*(?:inset\(\s*(?:50|100)%|circle\(\s*0|polygon\(\s*0)|"
    r"transform\s*:\s*scale\(\s*0|content-visibility\s*:\s*hidden|(?<![-\w])color\s*:\s*transparent|rgba\([^)]*,\s*0(?:\.0+)?\s*\)",
    re.IGNORECASE,
)
_COLOUR = re.compile(r"(?<![-\w])color\s*:\s*([^;!]+)", re.IGNORECASE)
_GROUND = re.compile(r"background(?:-color)?\s*:\s*([^;!]+)", re.IGNORECASE)
_SHEET_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_PLAIN_SELECTOR = re.compile(r"^\s*([a-z][a-z0-9]*)?([.#][\w-]+)?\s*$", re.IGNORECASE)
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_BLANK_LINES = re.compile(r"\n\s*\n\s*\n+")


def text_of(body: bytes, content_type: str, charset: str) -> tuple[str, str]:
    """(title, text) of a page; a type that is no text gives `ValueError`."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml", ""):
        return _of_html(_decoded(body, charset))
    if kind.startswith("text/") or kind in ("application/json", "application/xml") or kind.endswith(("+json", "+xml")):
        return "", clean(_decoded(body, charset))
    raise ValueError(f"{kind} is no text")


def clean(text: str) -> str:
    """`text` without characters that cannot be seen and without long stretches of empty lines."""
    kept = "".join(ch for ch in _INVISIBLE.sub("", text) if ch in "\n\t" or ch.isprintable())
    return _BLANK_LINES.sub("\n\n", kept.replace("\r", "")).strip()


def _decoded(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset or "utf-8", errors="replace")
    except LookupError:
        return body.decode("utf-8", errors="replace")


def _of_html(source: str) -> tuple[str, str]:
    try:
        parser = _HTML.HTMLParser(remove_comments=True, remove_pis=True, no_network=True, huge_tree=False)
        tree: Any = _HTML.document_fromstring(source.replace("\x00", ""), parser=parser)
    except (_ETREE.ParserError, ValueError, AssertionError):
        return "", ""
    title = str(tree.findtext(".//title") or "")
    sheets = " ".join(str(style.text or "") for style in tree.iter("style"))
    _drop(tree, _hiding_selectors(sheets))
    for node in tree.iter():
        kept = {"href": node.get("href")} if node.tag == "a" and node.get("href") else {}
        node.attrib.clear()
        node.attrib.update(kept)
    found = trafilatura.extract(
        tree, include_comments=False, include_tables=True, include_images=False, favor_recall=True
    )
    return clean(title)[:300], clean(found or str(tree.text_content()))


def _drop(tree: Any, hiding: tuple[frozenset[str], frozenset[str], frozenset[str]]) -> None:
    """Takes out what is not shown, each with all that is inside it."""
    tags, classes, ids = hiding
    unseen = {*_DROPPED, *tags}
    doomed = [
        node
        for node in tree.iter()
        if not isinstance(node.tag, str) or node.tag in unseen or _hidden(node, classes, ids)
    ]
    for node in doomed:
        if node.getparent() is not None:
            node.drop_tree()


def _hidden(node: Any, classes: frozenset[str], ids: frozenset[str]) -> bool:
    if node.get("hidden") is not None or node.get("aria-hidden") == "true" or node.get("id") in ids:
        return True
    if classes and classes & set(str(node.get("class") or "").split()):
        return True
    style = str(node.get("style") or "")
    return bool(style) and (_HIDING.search(style) is not None or _same_colours(style))


def _same_colours(style: str) -> bool:
    text, ground = _COLOUR.search(style), _GROUND.search(style)
    return text is not None and ground is not None and _plain(text[1]) == _plain(ground[1])


def _plain(colour: str) -> str:
    value = colour.strip().lower().replace(" ", "")
    return {
        "white": "#fff",
        "#ffffff": "#fff",
        "rgb(255,255,255)": "#fff",
        "black": "#000",
        "#000000": "#000",
        "rgb(0,0,0)": "#000",
    }.get(value, value)


def _hiding_selectors(sheets: str) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Tags, classes and ids that a style sheet of the page hides, where its selector is that simple."""
    tags, classes, ids = set[str](), set[str](), set[str]()
    for selectors, rules in _SHEET_RULE.findall(sheets):
        if not (_HIDING.search(rules) or _same_colours(rules)):
            continue
        for selector in selectors.split(","):
            simple = _PLAIN_SELECTOR.match(selector)
            if simple is None:
                continue
            name = simple[2] or ""
            (classes if name.startswith(".") else ids if name.startswith("#") else tags).add(
                name[1:] if name else (simple[1] or "").lower()
            )
    return frozenset(tags - {"", "html", "body"}), frozenset(classes), frozenset(ids)
