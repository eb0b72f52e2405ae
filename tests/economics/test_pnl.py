"""The statement: what it adds up to, what counts as a success, and what stands apart."""

import pytest
from msgspec import structs

from interlock.core.events import FLOW, ApprovalAsked, OutcomeSeen, Record
from interlock.core.money import Usage, cost_of
from interlock.core.shares import money_of
from interlock.economics import Worth, report, statements
from interlock.economics.statement import KeptAnswers, Line, asks_of, total
from interlock.storage import SqliteStore
from tests.ledger.kit import PRICE, T0, attempt, call, crashed, finished, record, started

HOUR = 3_600_000_000_000
WORTH = Worth(revenue_nano_usd=900_000_000, human_minute_nano_usd=600_000_000, human_minutes=6, slo_ms=2000)
DONE = attempt().cost_nano_usd


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore.open(tmp_path / "store.db", synchronous="normal")
    yield opened
    opened.close()


def task(store, name, outcome, calls=(), *, at_ns=T0, tier="small", seconds=1, seen=None, simulated=False):
    """A finished task with its calls."""
    records = [started(name, at_ns=at_ns), *(record(structs.replace(each, started_ns=at_ns)) for each in calls)]
    end = finished(name, 90, outcome=outcome, at_ns=at_ns + seconds * 10**9, tier=tier, simulated=simulated)
    store.write([[*records, end]], [PRICE])
    if seen is not None:
        store.write([[Record(name, 91, "acme", at_ns, OutcomeSeen(seen, "expected"))]])


def line(statement, name):
    """The line of real money of that name, empty when there is none."""
    return next((each for each in statement.lines if each.line == name and not each.simulated), Line(name, "", 0))


@pytest.mark.requirement("EC-01")
def test_the_statement_of_a_workflow_line_by_line(store):
    usage = Usage(input=1000, cache_read=500, output=300)
    rich = structs.replace(attempt(), usage=usage, cost_nano_usd=cost_of(PRICE.rates, usage))
    task(store, "t1", "resolved", [call("t1", 1, attempts=[attempt("timeout"), rich])])
    task(
        store,
        "t2",
        "resolved",
        [call("t2", 1), call("t2", 2, kind="tool", attempts=[], cost_nano_usd=5_000)],
        seconds=3,
    )
    task(store, "t3", "resolved", [call("t3", 1, attempts=[attempt(deployment="local/support_reply")])], tier="tier0")
    task(store, "t4", "failed", [call("t4", 1)])
    task(store, "t5", "handed_to_human", [call("t5", 1)])
    (statement,) = statements(store, worth={"support_reply": WORTH})
    assert (statement.tasks, statement.succeeded) == (5, 3)
    assert statement.outcomes == {"failed": 1, "handed_to_human": 1, "resolved": 3}
    assert statement.cost_nano_usd == store.totals().events_nano_usd
    assert sum(each.cost_nano_usd for each in statement.lines) == statement.cost_nano_usd
    assert line(statement, "cache_read").cost_nano_usd == -(-500 * 75_000 // 10**6)
    assert line(statement, "cache_read").tokens == 500
    assert line(statement, "timeouts").cost_nano_usd == statement.waste.failed_attempts_nano_usd == DONE
    assert statement.tries == {"retries": 1}
    assert (line(statement, "tools").cost_nano_usd, line(statement, "tools").calls) == (5_000, 1)
    assert line(statement, "on_device").calls == 1
    assert line(statement, "other").cost_nano_usd == 0
    assert statement.cost_per_success_nano_usd == -(-statement.cost_nano_usd // 3)
    assert statement.revenue_nano_usd == 3 * 900_000_000
    assert statement.people.cost_nano_usd == 6 * 600_000_000
    assert statement.margin_nano_usd == statement.revenue_nano_usd - statement.cost_nano_usd - 3_600_000_000
    assert statement.waste.tasks_without_success_nano_usd == 2 * DONE
    assert (statement.latency.n, statement.latency.within_slo) == (5, 0.8)
    assert statement.latency.p50_ms == pytest.approx(1000, rel=0.03)
    assert statement.latency.p99_ms == pytest.approx(3000, rel=0.03)


@pytest.mark.requirement("EC-01")
def test_a_success_that_somebody_contradicts_is_none(store):
    task(store, "t1", "resolved", [call("t1")], seen=True)
    task(store, "t2", "resolved", [call("t2")], seen=False)
    task(store, "t3", "failed", [call("t3")], seen=True)
    task(store, "t4", "resolved", [call("t4")])
    (statement,) = statements(store)
    assert statement.succeeded == 2
    assert statement.waste.tasks_without_success_nano_usd == 2 * DONE


@pytest.mark.requirement("EC-01")
def test_what_was_simulated_stands_apart_and_is_never_a_success(store):
    fake = attempt(simulated=True, deployment="simulated/small")
    task(store, "t1", "simulated", [call("t1", attempts=[fake])], simulated=True)
    task(store, "t2", "resolved", [call("t2")])
    (statement,) = statements(store, worth={"support_reply": WORTH})
    assert (statement.tasks, statement.succeeded, statement.simulated_tasks) == (2, 1, 1)
    assert statement.cost_nano_usd == DONE == store.totals().events_nano_usd
    assert statement.simulated_nano_usd == fake.cost_nano_usd
    assert statement.revenue_nano_usd == WORTH.revenue_nano_usd
    shown = [each for each in statement.lines if each.simulated]
    assert sum(each.cost_nano_usd for each in shown) == fake.cost_nano_usd
    assert {each.line for each in shown} == {"input", "output"}
    assert line(statement, "input").cost_nano_usd + line(statement, "output").cost_nano_usd == DONE


@pytest.mark.requirement("EC-01")
def test_savings_of_caches_and_of_the_device(store):
    hit = call("c1", status="cache_hit", attempts=[], cache="exact", saved_nano_usd=777, deployment="p/m")
    near = call("c2", status="cache_hit", attempts=[], cache="semantic", saved_nano_usd=333, deployment="p/m")
    store.write([[record(hit)], [record(near)]])
    task(store, "t1", "resolved", [call("t1")])
    task(store, "t2", "resolved", tier="tier0")
    task(store, "t3", "resolved", tier="tier0")
    savings = statements(store)[0].savings
    assert (savings.exact_cache_nano_usd, savings.semantic_cache_nano_usd) == (777, 333)
    assert (savings.on_device_tasks, savings.on_device_nano_usd) == (2, 2 * DONE)


@pytest.mark.requirement("GW-21")
def test_the_share_of_input_that_vendors_read_from_their_prompt_caches_is_told_per_workflow(store):
    cached = structs.replace(attempt(), usage=Usage(input=20, cache_read=60, cache_write=20, output=5))
    plain = structs.replace(attempt(), usage=Usage(input=100, output=5))
    store.write([[record(call("c1", attempts=[cached]))], [record(call("c2", attempts=[plain]))]])
    assert statements(store)[0].savings.prompt_cache_share == 0.3


def test_without_a_task_on_a_real_model_nothing_is_claimed_to_be_saved(store):
    task(store, "t1", "resolved", tier="tier0")
    savings = statements(store)[0].savings
    assert (savings.on_device_tasks, savings.on_device_nano_usd) == (1, None)


def test_crashed_calls_and_superseded_workers_are_in_the_total(store):
    fence = store.tasks.begin(started("t1"), "a", T0)
    store.tasks.claim("t1", "b", now_ns=T0 + 1, lease_until_ns=T0 + HOUR)
    store.write([[record(call("t1", 1), fence=fence)], [record(crashed("t2", cost=12_345, workflow="support_reply"))]])
    (statement,) = statements(store)
    assert statement.waste.superseded_workers_nano_usd == DONE
    assert statement.cost_nano_usd == DONE + 12_345 == sum(each.cost_nano_usd for each in statement.lines)
    assert (statement.tasks, statement.outcomes) == (2, {"failed": 1, "running": 1})


def test_periods_are_whole_hours_and_add_up(store):
    begin = T0 // HOUR * HOUR
    for n in range(6):
        task(store, f"t{n}", "resolved", [call(f"t{n}")], at_ns=begin + n * HOUR // 2)
    first = report(statements(store, until_ns=begin + HOUR))
    rest = report(statements(store, since_ns=begin + HOUR + 5))
    assert (first.tasks, rest.tasks) == (2, 4)
    assert first.cost_nano_usd + rest.cost_nano_usd == store.totals().events_nano_usd


def test_workflows_and_tenants_have_their_own_statements_and_a_total(store):
    task(store, "t1", "resolved", [call("t1")])
    store.write([[record(call("x", tenant="other", workflow=""))]])
    whole = report(statements(store, worth={"support_reply": WORTH}))
    assert {(each.tenant, each.workflow) for each in whole.workflows} == {("acme", "support_reply"), ("other", "")}
    assert whole.cost_nano_usd == 2 * DONE == sum(each.cost_nano_usd for each in whole.lines)
    assert whole.margin_nano_usd == sum(each.margin_nano_usd for each in whole.workflows)
    assert [each.tenant for each in statements(store, tenant="other")] == ["other"]
    assert [each.workflow for each in statements(store, workflow="support_reply")] == ["support_reply"]


def test_an_empty_ledger_has_an_empty_statement(store):
    whole = report(statements(store))
    assert (whole.tasks, whole.cost_nano_usd, whole.cost_per_success_nano_usd, whole.lines) == (0, 0, None, ())


def test_money_of_a_call_is_its_attempts(store):
    mixed = call("t1", attempts=[attempt("error"), attempt(simulated=True)])
    assert money_of(mixed) == (DONE, DONE)


@pytest.mark.requirement("TL-10")
def test_how_often_a_tools_answers_came_from_memory_is_told_by_tool_and_added_up_over_workflows(store):
    def asked(where, n, name, status, cache=""):
        return call(where, n, kind="tool", name=name, status=status, cache=cache)

    first = [asked("tsk_1", 1, "rates", "ok"), asked("tsk_1", 2, "rates", "cache_hit", "tool")]
    first += [asked("tsk_1", 3, "rates", "cache_hit", "tool"), asked("tsk_1", 4, "rates", "error")]
    task(store, "tsk_1", "resolved", first)
    task(store, "tsk_2", "resolved", [asked("tsk_2", 1, "rates", "ok"), asked("tsk_2", 2, "search", "ok")])

    (found,) = statements(store)
    assert found.kept_answers == {"rates": KeptAnswers(4, 2, 0.5), "search": KeptAnswers(1, 0, 0.0)}
    assert report([found, found]).kept_answers["rates"] == KeptAnswers(8, 4, 0.5)


@pytest.mark.requirement("EC-01")
def test_the_cost_of_a_success_is_told_by_how_much_models_read_and_adds_up_over_workflows(store):
    for name, tokens, outcome in (("s1", 900, "resolved"), ("s2", 1000, "failed"), ("l1", 5000, "resolved")):
        task(store, name, outcome, [call(name, 1, attempts=[attempt(tokens=tokens)])])
    other = call("o1", 1, attempts=[attempt(tokens=600)], workflow="other")
    store.write([[started("o1", workflow="other"), record(other), finished("o1", 90)]], [PRICE])
    task(store, "t0", "resolved")  # read nothing
    other, support = sorted(statements(store), key=lambda each: each.workflow)

    short, long = support.contexts
    assert (short.tokens, short.tasks, short.succeeded) == (1024, 2, 1)
    assert (long.tokens, long.tasks, long.succeeded) == (8192, 1, 1)
    assert short.cost_nano_usd + long.cost_nano_usd == support.cost_nano_usd
    assert (short.cost_per_success_nano_usd, long.cost_per_success_nano_usd) == (
        short.cost_nano_usd,
        long.cost_nano_usd,
    )
    assert short.cost_nano_usd < long.cost_nano_usd
    both = total([other, support]).contexts
    assert [(each.tokens, each.tasks) for each in both] == [(1024, 3), (8192, 1)]
    assert sum(each.cost_nano_usd for each in both) == store.totals().events_nano_usd


@pytest.mark.requirement("EC-01", "SG-02")
def test_questions_to_people_stand_on_the_statement_and_its_total(store):
    def asks(name, rules):
        first = started(name)
        asked = [
            Record(name, n, "acme", T0, ApprovalAsked(n, "pay", "h", rule, 0, workflow="support_reply"))
            for n, rule in enumerate(rules, 1)
        ]
        store.write([[first, *asked, finished(name, 90)]])

    asks("t1", [FLOW + "a value of a stranger", "amount_usd > 50"])
    asks("t2", [])
    (statement,) = statements(store)
    assert (statement.asks.policy, statement.asks.rule, statement.asks.per_task) == (1, 1, 1.0)
    assert total([statement, statement]).asks == asks_of(2, 2, 4)
    assert total([]).asks.per_task is None
