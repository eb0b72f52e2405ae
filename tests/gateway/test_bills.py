"""What is booked for answers whose vendor did not say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import BadReply, ConnectFailed, UpstreamCut, UpstreamRefused
from interlock.core.money import Usage
from interlock.gateway import bill, shape
from interlock.gateway.call import Trial
from interlock.gateway.health import DeploymentHealth
from interlock.gateway.route import Candidate
from interlock.gateway.settings import Settings
from interlock.plugins.profiles import ModelProfile
from tests.gateway.kit import ask, deployment, price_of

PROFILE = ModelProfile(match=(), context_window=8_000, max_output=1_000)


def trial(input_tokens=100, **fields):
    at = deployment("small")
    fitted = shape.fit(ask(**fields), input_tokens, None, price_of(at, 0), PROFILE, 16)
    return Trial(Candidate(at, "small", at.name), fitted, price_of(at, 0), "k", 0, 0.0)


def health():
    return DeploymentHealth("fake/small", Settings())


@pytest.mark.parametrize("error", [ConnectFailed("refused."), UpstreamRefused("500.", upstream_status=500)])
def test_a_try_that_no_model_can_have_worked_on_costs_nothing(error):
    assert bill.of_broken(health(), trial(), error, 1.0) == (Usage(), False)


def test_the_vendors_word_counts_where_it_gave_it():
    error = BadReply("garbage.")
    error.usage = Usage(input=80, output=7)
    assert bill.of_broken(health(), trial(), error, 1.0) == (Usage(input=80, output=7), False)


def test_a_stream_is_booked_by_what_was_relayed_and_at_least_a_token_for_each_piece():
    broken = trial(stream=True)
    broken.text_seen.extend(["a", "b", "c", "d", "e", "f"])
    usage, estimated = bill.of_broken(health(), broken, UpstreamCut("cut."), 1.0)
    assert estimated
    assert usage.output == 6


def test_input_that_the_stream_named_at_its_start_is_not_estimated():
    broken = trial(stream=True)
    broken.usage_seen = Usage(input=55, cache_read=40, output=1)
    broken.text_seen.append("word " * 8)
    usage, _ = bill.of_broken(health(), broken, UpstreamCut("cut."), 1.0)
    assert (usage.input, usage.cache_read) == (55, 40)
    assert usage.output > 1


def test_the_estimate_follows_the_vendors_own_counts():
    seen, text = health(), "word " * 40
    for _ in range(30):
        bill.learn(seen, trial().fitted.ask.input_tokens, 0, text, Usage(input=42, output=40))
    broken = trial(input_tokens=200, stream=True)
    broken.text_seen.append(text)
    usage, _ = bill.of_broken(seen, broken, UpstreamCut("cut."), 1.0)
    assert usage == Usage(input=84, output=40)


def test_a_whole_answer_of_which_nothing_was_seen_is_booked_by_the_time_it_took():
    seen = health()
    seen.answered(0.0, 2.0, 100)
    usage, estimated = bill.of_broken(seen, trial(max_output_tokens=60), UpstreamCut("cut."), 0.5)
    assert (usage.output, estimated) == (25, True)
    assert bill.of_broken(seen, trial(max_output_tokens=60), UpstreamCut("cut."), 90.0)[0].output == 60
    assert bill.of_broken(seen, trial(stream=True), UpstreamCut("cut."), 90.0)[0].output == 0


@given(
    texts=st.lists(st.text(max_size=30), max_size=10),
    said=st.one_of(st.none(), st.builds(Usage, input=st.integers(0, 100), output=st.integers(0, 100))),
)
def test_a_broken_answer_is_never_booked_below_what_the_vendor_said(texts, said):
    broken = trial(stream=True)
    broken.text_seen.extend(texts)
    broken.usage_seen = said
    usage, _ = bill.of_broken(health(), broken, UpstreamCut("cut."), 1.0)
    if said is not None:
        assert usage.output >= said.output
        assert usage.input == said.input
