"""From the files' sections on resilience to the gateway's settings.

Above: policy. Below: config and gateway.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from interlock.config.models import ref_of
from interlock.config.schema import Settings as Files
from interlock.gateway.settings import Admission, Breaking, Retrying, Settings
from interlock.gateway.terms import Balance, Ejecting, Hedging, InputCap, Shaping


def resilient(settings: Settings, files: Files) -> Settings:
    """`settings` with what the files say of timeouts, retries, circuits, hedging, room, balance and shape."""
    said = files.resilience
    retries, circuit, room, hedging = said.retries, said.circuit, said.admission, said.hedging
    return structs.replace(
        settings,
        timeout_s=said.timeout_s,
        retrying=Retrying(
            max_tries=retries.max_tries,
            base_s=retries.base_s,
            cap_s=retries.cap_s,
            retry_after_max_s=retries.retry_after_max_s,
            budget=retries.budget,
            extra=retries.extra,
        ),
        breaking=Breaking(circuit.consecutive, circuit.share, circuit.cool_s, circuit.cool_max_s),
        admission=Admission(
            max_concurrent=room.max_concurrent,
            max_waiting=room.max_waiting,
            max_wait_s=room.max_wait_s,
            tenant_weights=room.tenant_weights,
            adaptive=room.adaptive,
            deployment_floor=room.deployment_floor,
        ),
        hedging=Hedging(hedging.share, hedging.quantile, hedging.min_wait_s) if hedging.enabled else None,
        ejecting=_ejecting(files),
        continuing=said.mid_stream == "continue",
        balance=_balance(files),
        input_caps=_input_caps(files),
        shaping=_shaping(files),
        priorities={name: each.priority for name, each in files.shaping.items() if each.priority != "normal"},
    )


def _ejecting(files: Files) -> Ejecting:
    said = files.resilience.outliers
    return Ejecting(said.least_calls, said.worse_by, said.slower_by, said.seconds, said.most_share)


def _balance(files: Files) -> Mapping[str, Balance]:
    return {
        alias: Balance(
            by=each.by,
            weights={ref_of(files, model).name: weight for model, weight in each.weights.items()},
            regions=each.regions,
        )
        for alias, each in files.routing.balance.items()
    }


def _input_caps(files: Files) -> Mapping[str, InputCap]:
    return {
        name: InputCap(each.input_cap.tokens, each.input_cap.then, each.input_cap.model)
        for name, each in files.shaping.items()
        if each.input_cap is not None
    }


def _shaping(files: Files) -> Mapping[str, Shaping]:
    shapes = {
        name: Shaping(each.max_output_tokens, each.temperature, each.top_p, each.seed)
        for name, each in files.shaping.items()
    }
    return {name: each for name, each in shapes.items() if each != Shaping()}
