"""Runs the answer's Python with the tests that came with the request, inside a sandbox.

Above: found by name. Below: `core`. It runs only where a sandbox is present (`core.verify.CodeRunner`); without one it says nothing.
"""

from __future__ import annotations

import re

import msgspec

from interlock.core.verify import NOTHING, Answered, CodeRunner, Finding, Needs, RunningVerifier

NEEDS: Needs = "sandbox"
MAX_CHARS = 100_000
SHOWN = 160
_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`routing.verifiers.unit_test`."""

    fact: str = "unit_tests"
    """The request's fact that holds the tests: Python that raises where the answer's code is wrong."""
    timeout_s: float = 10.0


class UnitTest:
    """The verifier."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def check(self, answered: Answered, runner: CodeRunner) -> Finding:
        tests = answered.request.facts.get(self._settings.fact)
        if not isinstance(tests, str) or not tests.strip():
            return NOTHING
        blocks = _BLOCK.findall(answered.response.text)
        code = "\n\n".join(blocks) if blocks else answered.response.text
        if len(code) + len(tests) > MAX_CHARS:
            return NOTHING
        ran = await runner.run_python(f"{code}\n\n{tests}\n", timeout_s=self._settings.timeout_s)
        last = ran.output.strip().rpartition("\n")[2][:SHOWN]
        return Finding(float(ran.ok), {"passed": float(ran.ok)}, "" if ran.ok else f"the tests fail: {last}")


def build(settings: Settings) -> RunningVerifier:
    """The verifier."""
    return UnitTest(settings)
