"""What each verifier says of an answer."""

import importlib
import math
import re
import sys
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core import plugins
from interlock.core.chat import ChatRequest, ChatResponse, Message, OutputSchema
from interlock.core.verify import Answered, signals_of
from interlock.plugins.sums import sums

CHEAP = ("arithmetic", "citation", "hedging", "length", "logprobs", "schema", "self_reported")


def verifier(name, **settings):
    module = plugins.find("verifiers", name)
    assert module is not None
    return module.build(module.Settings(**settings))


def answered(text="", question="What is it?", value=None, faults=(), messages=(), schema=None, **response):
    request = ChatRequest("m", (*messages, Message("user", question)), output_schema=schema)
    return Answered(request, ChatResponse("m", text, **response), value, tuple(faults))


def said(name, *args, _settings=None, **fields):
    return verifier(name, **(_settings or {})).check(answered(*args, **fields))


@pytest.mark.requirement("GW-14")
def test_every_kind_of_signal_is_a_plug_in_found_by_its_file_name():
    assert set(plugins.names("verifiers")) >= {*CHEAP, "unit_test", "agreement", "judge"}
    for name in plugins.names("verifiers"):
        module = plugins.find("verifiers", name)
        assert module is not None
        assert module.NEEDS in ("answer", "calls", "sandbox")
        assert issubclass(module.Settings, msgspec.Struct)


@given(st.text(max_size=300), st.text(max_size=100))
def test_no_text_breaks_a_cheap_verifier_and_every_score_is_a_share(text, question):
    for name in CHEAP:
        finding = said(name, text, question)
        assert finding.score is None or 0.0 <= finding.score <= 1.0
        assert all(math.isfinite(value) for value in signals_of({name: finding}).values())


# --- Sums -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rights"),
    [
        ("20 x 4 = <<20*4=80>>80 sheep", [True, True]),
        ("60/100 * $5 = $3.", [True]),
        ("3 hours * 60 mph = 180 miles", [True]),
        ("15% of 200 = 31", [False]),
        ("So 1,200 + 300 = 1,500 and 4 - 2 - 0.5 = 1.5 hours", [True, True]),
        ("10/3 = 3.33", [True]),
        ("10/3 = 3", [False]),
        ("10/3 ≈ 3", [True]),
        ("2(3+4) = 14", [True]),
        ("the total is 8 x $5 = $41. Next 2*3+4 = 6+4 = 10", [False, True, True]),
        ("140 / 3 = 46.666666666666664", [True]),
        ("(100 / 1000) * 100 = 10%", [True]),
        (r"16 \* 3/4 = 12", [True]),
        ("x = 5, page 3 of 4, on 2024-01-02", []),
        ("1 / 0 = 0", []),
    ],
)
def test_sums_are_found_in_running_text_and_worked_out_again(text, rights):
    assert [each.right for each in sums(text)] == rights


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from("+-*"), st.integers(-3, 3))
def test_a_stated_result_is_right_exactly_when_it_is(left, right, sign, off):
    result = {"+": left + right, "-": left - right, "*": left * right}[sign]
    [found] = sums(f"There are {left} {sign} {right} = {result + off} of them.")
    assert found.computed == Fraction(result)
    assert found.right is (off == 0)


def test_deep_brackets_and_long_rows_of_digits_end_soon():
    assert sums("(" * 5_000 + "1" + ")" * 5_000 + " = 1") == []
    assert sums("9" * 5_000 + " + 1 = 2") == []


@pytest.mark.requirement("GW-14")
def test_the_numbers_of_the_question_that_an_answer_leaves_out_are_a_signal():
    finding = said("arithmetic", "2 + 3 = 5", "Ann has 2 apples, Bob has 3 and Eve has 17. How many?")
    assert finding.signals["unused_count"] == 1.0
    assert finding.score == 1.0


# --- The others -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("GW-14")
def test_citations_have_to_stand_in_what_came_in():
    sources = (Message("system", "[KB-12] Returns are free for 30 days. [KB-13] Tents cannot be returned once used."),)
    known = said("citation", "You can return it for 30 days [KB-12].", messages=sources)
    unknown = said("citation", "You can return it for 60 days [KB-99].", messages=sources)
    quoted = said("citation", 'It says "Tents can always be returned, used or not."', messages=sources)
    assert known.score == 1.0
    assert unknown.score == pytest.approx(0.0)
    assert "KB-99" in unknown.why
    assert quoted.score == pytest.approx(0.0)
    assert said("citation", "Yes.", messages=sources).score is None
    assert said("citation", "Yes.", messages=(Message("tool", "a source"),), _settings={"required": True}).score == 0.0


def test_a_citations_field_counts_before_the_text():
    finding = said(
        "citation", "{}", value={"citations": ["warranty"]}, messages=(Message("system", "warranty: 2 years"),)
    )
    assert finding.score == 1.0


@pytest.mark.requirement("GW-14")
def test_refusals_and_hedges_lower_the_score():
    assert said("hedging", "It is 5.").score == 1.0
    assert said("hedging", "I'm sorry, but I cannot help with that.").score == 0.0
    assert said("hedging", "Maybe 5, perhaps 6, I think, possibly 7.").score < 0.5
    assert said("hedging", "", refusal="no").score == 0.0


@pytest.mark.requirement("GW-14")
def test_answers_that_end_badly_are_not_good_enough():
    assert said("length", "All is well.").score == 1.0
    assert said("length", "All is", finish="length").why == "the answer was cut off at the output limit"
    assert said("length", "").score == 0.0
    assert said("length", "same line\n" * 8).score == 0.0
    assert said("length", "So the total cost of it all is 7,50").signals["ends_open"] == 1.0
    assert said("length", "Done.\n#### 42").signals["ends_open"] == 0.0


@pytest.mark.requirement("GW-14")
@pytest.mark.parametrize(
    ("text", "value", "score"),
    [
        ("Confidence: 80%", None, 0.8),
        ("confidence = 0.4", None, 0.4),
        ("Confidence: 7/10", None, 0.7),
        ("My confidence: high", None, 0.85),
        ("{}", {"confidence": 0.3}, 0.3),
        ("{}", {"confidence": True}, None),
        ("My confidence: hıgh", None, None),
        ("{}", {"confidence": 10**400}, None),
        ("no word of it", None, None),
    ],
)
def test_what_an_answer_says_of_itself_is_read_in_its_usual_forms(text, value, score):
    assert said("self_reported", text, value=value).score == score


@pytest.mark.requirement("GW-14")
def test_log_probabilities_and_schema_faults_are_scores():
    assert said("logprobs", "x", mean_logprob=-0.105).score == pytest.approx(0.9, abs=0.01)
    assert said("logprobs", "x").score is None
    schema = OutputSchema("S", {"type": "object"})
    assert said("schema", "{}", schema=schema).score == 1.0
    assert said("schema", "{}", schema=schema, faults=["a: missing"]).why == "schema: a: missing"
    assert said("schema", "free text").score is None


@pytest.mark.requirement("GW-14")
def test_a_verifier_of_somebody_else_s_package_is_found_by_its_name(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "routing.md").read_text()
    [source] = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class Shouting" in code]
    (tmp_path / "acme_shouting.py").write_text(source)
    about = tmp_path / "acme_shouting-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-shouting\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[interlock.verifiers]\nshouting = acme_shouting\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()

    assert "shouting" in plugins.names("verifiers")
    assert said("shouting", "WHERE IS IT?").score == 0.0
    assert said("shouting", "There it is.").score == 1.0
    sys.modules.pop("acme_shouting", None)
