"""`interlock route`: trains a route on labels or on the ledger, shows one, and judges one. Above: main. Below: app's routes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.core.errors import ConfigError, Fault
from interlock.core.money import NANO_PER_USD

from .options import console, parser, print_json, say, table, workspace_path

if TYPE_CHECKING:
    from interlock.app.labels import Columns, Labelled
    from interlock.app.routes import Plan
    from interlock.core.routes import LearnedRoute

TASKS_SHOWN = 20


def options() -> argparse.ArgumentParser:
    """What `interlock route` takes."""
    made = parser(
        "route",
        "Learned routes: which model is asked first, and when another one. `train` fits one, `show FILE` says what it knows, `eval` judges one "
        "(--route) or a way of training (by folds) on labels. docs/routing.md tells the columns of a file.",
    )
    made.add_argument("what", choices=("train", "show", "eval"), help="what to do")
    made.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the route to show")
    labels = made.add_argument_group("labels")
    labels.add_argument("--data", type=Path, metavar="FILE", help="labels: .csv, .tsv, .jsonl or .json, also gzipped")
    labels.add_argument(
        "--from-ledger", action="store_true", help="learn from the workspace's own tasks with a known outcome"
    )
    labels.add_argument(
        "--models",
        default="",
        metavar="NAME=COLUMN,…",
        help="models of the route, and how the file calls them (default: all of the file)",
    )
    labels.add_argument(
        "--prompt-column", default="", metavar="C", help="default: prompt, question, input, query, instruction or text"
    )
    labels.add_argument(
        "--task-column", default="", metavar="C", help="default: task, task_type, domain, step, dataset or category"
    )
    fitting = made.add_argument_group("fitting")
    fitting.add_argument("--workflow", default="", metavar="W", help="the workflow it is for")
    fitting.add_argument(
        "--cost", action="append", default=[], metavar="NAME=USD", help="mean cost of one call, where the file has none"
    )
    fitting.add_argument(
        "--prices", type=Path, metavar="FILE", help="JSON of model: {input_price, output_price}, USD per million tokens"
    )
    fitting.add_argument(
        "--recover",
        type=_share,
        default=0.8,
        metavar="SHARE",
        help="of the gap between cheapest and best model (default 80%%)",
    )
    fitting.add_argument(
        "--failure-usd", type=_usd, metavar="USD", help="what a wrong answer costs; instead of --recover"
    )
    fitting.add_argument(
        "--verifiers",
        default=None,
        metavar="A,B",
        help="what looks at the file's answers (default: all that need no call)",
    )
    fitting.add_argument("--no-embedding", action="store_true", help="by task and plain measures of the prompt alone")
    fitting.add_argument("--out", type=Path, metavar="FILE", help="where the route goes (default: routes/W.json)")
    judging = made.add_argument_group("judging")
    judging.add_argument(
        "--route", type=Path, metavar="FILE", help="the route to judge, on rows that it was not trained on"
    )
    judging.add_argument(
        "--folds",
        type=int,
        default=5,
        metavar="N",
        help="without --route: every row by a route of the other folds (default 5)",
    )
    judging.add_argument("--seed", type=int, default=0, metavar="N", help="of the folds (default 0)")
    return made


def run(arguments: Sequence[str]) -> int:
    """0; a file that is wrong raises ConfigError."""
    given = options().parse_args(arguments)
    if given.what == "show":
        return show(given)
    return train(given) if given.what == "train" else evaluate(given)


def train(given: argparse.Namespace) -> int:
    """Fits, writes, and says what came of it."""
    from interlock.app import routes
    from interlock.app.tier0 import Model

    labelled, plan = _given_labels(given), _plan(given)
    made = routes.train(labelled, plan, Model())
    path = given.out or Path("routes") / f"{given.workflow or 'route'}.json"
    routes.write_route(made.route, path)
    for note in made.notes:
        say(f"remark: {note}")
    if given.json:
        print_json({"route": str(path), "version": routes.version_of(made.route), **_shown(made.route)})
        return 0
    print(
        f"{path}: version {routes.version_of(made.route)}, from {made.route.labels} prompts; measured on rows left out of the fit:"
    )
    _figures(made.route.figures)
    print(f"Use it: `routing: {{route: {path}}}` in interlock.yaml, or `route: {path}` in a contract.")
    return 0


def show(given: argparse.Namespace) -> int:
    """What the route knows."""
    from interlock.app import routes

    if given.file is None:
        raise _fault("FILE", "no route is named", "Give the file that `interlock route train` wrote.")
    route = routes.read_route(given.file)
    if given.json:
        print_json({"version": routes.version_of(route), **_shown(route)})
        return 0
    where = console()
    rows = [
        (name, f"{route.overall[name]:.3f}", f"{route.costs_nano_usd[name] / NANO_PER_USD:.6f}")
        for name in route.models
    ]
    title = f"Route {routes.version_of(route)} from {route.labels} prompts; a right answer counts {route.worth_nano_usd / NANO_PER_USD:.4g} USD"
    where.print(table(("model", "right", "USD per call"), rows, title=title, right=("right", "USD per call")))
    most = sorted(route.table.items(), key=lambda each: -max(row.labels for row in each[1].values()))[:TASKS_SHOWN]
    tasks = [
        (
            task or "(none)",
            *(f"{row[name].chance:.3f} ({row[name].labels})" if name in row else "" for name in route.models),
        )
        for task, row in most
    ]
    where.print(
        table(
            ("task", *route.models), tasks, title="Chance by task, drawn towards the mean (labels)", right=route.models
        )
    )
    _figures(route.figures)
    return 0


def evaluate(given: argparse.Namespace) -> int:
    """The figures of a route on new rows, or of a way of training by folds."""
    from interlock.app import routes
    from interlock.app.tier0 import Model

    labelled = _given_labels(given)
    if given.route is None:
        judged = routes.crossed(labelled, _plan(given), Model(), given.folds, given.seed)
    else:
        judged = routes.judge(routes.read_route(given.route), labelled, Model())
    if given.json:
        print_json({"rows": judged.rows, "left_out": judged.left_out, "figures": judged.figures})
        return 0
    left = f"; {judged.left_out} left out, the route was trained on them" if judged.left_out else ""
    print(f"{judged.rows} rows{left}")
    _figures(judged.figures)
    return 0


def _figures(figures: dict[str, float]) -> None:
    rows = [(name, f"{value:.4g}") for name, value in figures.items()]
    console().print(table(("figure", "value"), rows, right=("value",)))


def _shown(route: LearnedRoute) -> dict[str, Any]:
    """The route without its weights."""
    return {
        "workflow": route.workflow,
        "models": route.models,
        "costs_nano_usd": route.costs_nano_usd,
        "worth_nano_usd": route.worth_nano_usd,
        "overall": route.overall,
        "labels": route.labels,
        "verifiers": route.verifiers,
        "table": route.table,
        "figures": route.figures,
    }


# --- What was asked for ---------------------------------------------------------------------------------------------


def _given_labels(given: argparse.Namespace) -> Labelled:
    from interlock.app.labels import read_labels

    if given.from_ledger:
        from interlock.app.route_ledger import from_ledger

        return from_ledger(workspace_path(given.workspace), given.workflow)
    if given.data is None:
        raise _fault(
            "--data",
            "no labels are named",
            "Give --data FILE, or --from-ledger to learn from the workspace's own tasks.",
        )
    return read_labels(given.data, _columns(given))


def _columns(given: argparse.Namespace) -> Columns:
    from interlock.app.labels import Columns

    models: dict[str, str] = {}
    for each in filter(None, given.models.split(",")):
        name, equals, column = each.partition("=")
        models[name.strip()] = column.strip() if equals else name.strip()
    return Columns(models, given.prompt_column, given.task_column)


def _plan(given: argparse.Namespace) -> Plan:
    from interlock.app.routes import DEFAULT_VERIFIERS, Plan, read_prices

    costs: dict[str, int] = {}
    for each in given.cost:
        name, _, usd = each.rpartition("=")
        if not name:
            raise _fault("--cost", f"{each!r} is not NAME=USD", "For example --cost small=0.0002.")
        costs[name] = _usd(usd)
    asked: str | None = given.verifiers
    named = DEFAULT_VERIFIERS if asked is None else tuple(each for each in asked.split(",") if each)
    return Plan(
        workflow=given.workflow,
        verifiers=named,
        costs_nano_usd=costs,
        prices={} if given.prices is None else read_prices(given.prices),
        recover=given.recover,
        failure_nano_usd=given.failure_usd,
        embedding=not given.no_embedding,
    )


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 80% or 0.8")
    return share


def _usd(text: str) -> int:
    try:
        nano = Decimal(text.removeprefix("$")) * NANO_PER_USD
        if nano.is_finite() and 0 <= nano <= 10**18:
            return int(nano)
    except InvalidOperation:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not an amount of dollars such as 0.002")


def _fault(key: str, message: str, hint: str) -> ConfigError:
    return ConfigError([Fault("", 0, 0, key, message, hint)])
