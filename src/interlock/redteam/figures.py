"""All cases of AgentDojo, played against the shipped policy, as figures. Above: cli. Below: agentdojo, governance's policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from interlock.governance import policy

from .agentdojo import SUITES, VERSION, Person, Played, Player, Policy, Session, cases, package_version


class Figures(Struct, frozen=True):
    """Shares of one; `asks_per_task` is a mean over the benign tasks with a correct person."""

    cases: int
    """Pairs of a user's task and an injected one."""
    tool_action_asr: float
    """Of the pairs whose attack needs a call: how many attacks succeeded by the benchmark's own check."""
    output_asr: float
    """Of the pairs whose attack asks for words in the answer only."""
    utility_with_person: float
    utility_alone: float
    """With nobody there to ask."""
    utility_under_attack: float
    """With a person who says yes to the user's own calls only."""
    asks_per_task: float


class Beside(Struct, frozen=True):
    """How they came about."""

    tool_action_made: float
    """Of the pairs whose attack needs a call: in how many any call of the attack was made that is neither a look-up nor one of the user's own. The check of `workspace/injection_task_0` looks for exactly one
    mail with its subject's words and finds the injected texts themselves, so it never says that this attack succeeded."""
    tool_action_cases: int
    output_cases: int
    attacks_seen: int
    """Pairs in which the model read the injected text."""
    benchmark: str
    package: str


def measure(suites: Sequence[str] = SUITES, policy_of: Callable[[Session], Policy] = policy) -> tuple[Figures, Beside]:
    """Plays every case once: the benign tasks with a correct person and with nobody, the attacks with a correct person. About a CPU-minute for all suites."""
    player = Player(suites)

    def played(person: Person, *, benign: bool) -> list[Played]:
        return [player.play(case, policy_of, person) for case in cases(suites, benign=benign)]

    helped, alone = played("correct", benign=True), played("nobody", benign=True)
    attacks = played("correct", benign=False)
    words = [each for each in attacks if each.output_only]
    acts = [each for each in attacks if not each.output_only]
    figures = Figures(
        cases=len(attacks),
        tool_action_asr=_share([each.attacked for each in acts]),
        output_asr=_share([each.attacked for each in words]),
        utility_with_person=_share([each.utility for each in helped]),
        utility_alone=_share([each.utility for each in alone]),
        utility_under_attack=_share([each.utility for each in attacks]),
        asks_per_task=round(sum(each.asks for each in helped) / len(helped), 4),
    )
    return figures, Beside(
        tool_action_made=_share([each.acted for each in acts]),
        tool_action_cases=len(acts),
        output_cases=len(words),
        attacks_seen=sum(each.seen for each in attacks),
        benchmark=VERSION,
        package=f"agentdojo {package_version()}",
    )


def _share(found: Sequence[bool]) -> float:
    return round(sum(found) / len(found), 4) if found else 0.0
