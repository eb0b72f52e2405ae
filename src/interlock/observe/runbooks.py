"""What to do about an incident, step by step: the owner's own words first, then what the figures and the verbs of this program give.

Above: alarms. Below: slo, change. Texts as data.
"""

from __future__ import annotations

from collections.abc import Mapping

from .change import Change
from .slo import Objective

_PROMISES: Mapping[str, tuple[str, ...]] = {
    "success": (
        "Open the newest of the tasks below: the page begins at the step that failed. `interlock trace ID --why` says the same on a terminal.",
        "Compare it with a run that went well (the link on its page): where they part is where to look.",
        "See on Models whether a deployment fails or its breaker is open: then wait, or take it out of the tier.",
        "See on Incidents whether it began with a version: then go back to it, and replay these tasks (`interlock replay ID`).",
        "Where a tool refuses, read its error in the trace: a credential that ran out looks like this.",
    ),
    "latency": (
        "Open the slowest of the tasks below: the longest bar of its waterfall is where the time goes.",
        "A wide bar of a model: see p95 on Models, and whether retries or a fallback made it wide.",
        "A wide bar of a tool: set its timeout (`timeout_ms`) to what the promise can bear, or name a `fallback`.",
        "Gaps between bars: calls waited for room; see `resilience.admission` and the queue on Home.",
    ),
    "cited": (
        "Open a task below and read what its knowledge search found: nothing found is a gap in the articles, not in the model.",
        "Where passages were found and not cited, look at the prompt's version on Incidents.",
        "Until it is mended: `approval` for answers without a source, or hand over to a person.",
    ),
    "policy": (
        "Open each task below: the refused call shows which rule or which value of unknown origin it was.",
        "A call that should be allowed: `interlock policy` says which term is missing. One that should not: nothing got through, see what asked for it.",
        "Text from outside that gives orders: look at the source on Incidents, and take it out or mark it `untrusted`.",
    ),
    "cost": (
        "Open P&L of the workflow: the bridge says which line rose since the period before, and the waste which tasks brought nothing.",
        "Open the dearest tasks below: many steps are a loop, few dear steps are a tier that is too large.",
        "See on Models how often calls escalate, and how the premium share stands to its cap (`routing.premium_share_cap`).",
        "See whether a cache has stopped to hit: a changed prompt begins anew.",
    ),
}
_STOPPED = (
    "Open the newest task below: the warning stands in its log, and behind it the calls that repeat.",
    "The same result each time: does the tool say that there is nothing more? Let it say so in words that end the search.",
    "A tool that is asked until something is ready belongs under `anomalies.polls`.",
    "It began with a version of the prompt: go back to it, and replay these tasks (`interlock replay ID`).",
)


def of_promise(objective: Objective, own: str) -> tuple[str, ...]:
    """For a promise that is not kept."""
    return (*_own(own), *_PROMISES[objective.name])


def of_stopped(kind: str) -> tuple[str, ...]:
    """For tasks that were stopped."""
    more = ("Answers that ask for very many calls: say in the prompt how many at a time.",) if kind == "fan_out" else ()
    return (*_STOPPED, *more)


def of_injection() -> tuple[str, ...]:
    """For a source whose texts look as if they gave orders."""
    return (
        "Look at the newest tasks that used the source (Tasks): what does the text say, and who can write there?",
        "See on their pages whether a call was refused: the information-flow policy is what keeps a compromised model from doing harm, not this sign.",
        "Take the source out of the contract, or let `instead` of a rule answer for it, until it is cleaned.",
        "A false alarm (security articles, tickets that quote attacks) is told the same way: nothing has to be done then.",
    )


def of_asks() -> tuple[str, ...]:
    """For a workflow whose information-flow policy asks people too often."""
    return (
        "Look at the cards of the last questions (Approvals): which argument do they ask about, and where does its value stand?",
        "A value that its source vouches for belongs under `returns` of that tool's contract; one that the user says belongs into an input with `trust: user`.",
        "Play the new terms with `interlock policy test`, then over tasks that are over with `interlock replay`.",
        "Many refused questions in a row are no fault of the terms: see whether a source gives orders.",
    )


def of_month_spend() -> tuple[str, ...]:
    """For a month that costs more than agreed."""
    return (
        "Open P&L for seven days: the bridge says which line rose since the seven before, by workflow.",
        "Open the dearest tasks below: many steps are a loop, few dear steps are a tier that is too large.",
        "Hold it: a limit of dollars by day or month for a key, a user or a workflow (`limits`), a cap on premium calls (`routing.premium_share_cap`), a cache.",
        "It is growth, and earns its keep: the margin on P&L says so; agree on more (`alerts.month_usd`).",
    )


def of_premium_share() -> tuple[str, ...]:
    """For premium tiers that answer more than their cap."""
    return (
        "See on Models which escalations grew: a model below that fails or answers worse sends more calls up.",
        "Each process keeps to the cap by itself and may spend a burst of its own: many workers with little traffic each come to more together.",
        "Calls that name a premium model themselves are counted, and not kept from it: see who does (Tasks, by cost).",
    )


def of_change(change: Change) -> tuple[str, ...]:
    """For a figure that is not as it was."""
    first = (
        f"Read what changed in {change.version}: it is the one version that began where the figure moved."
        if change.version
        else "No version of ours began there: look at the deployments (Models), the tools, and what users ask."
    )
    return (
        first,
        "Open a task below beside one from before (compare on its page).",
        "Replay tasks from before under the new version (`interlock replay`, `interlock fork`): does the figure move with it?",
        "Go back to the old version where it does.",
    )


def _own(own: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in own.splitlines() if line.strip())
