"""`encryption:` from end to end, on both stores: no word of a tenant can be read without a key, everything can with it, and nothing once the keys are destroyed."""

from __future__ import annotations

import json
import sys
from asyncio import run
from collections.abc import Generator
from pathlib import Path

import pytest

from interlock.app import Interlock
from interlock.app.erasures import Erasures
from interlock.cli.main import main
from interlock.config.load import load
from interlock.core.caller import Caller
from interlock.core.errors import ConfigError
from interlock.core.sealing import KeyMissing
from interlock.core.store import Signal, TaskFilter
from interlock.core.time import SystemClock
from interlock.testing.upstream import Answer, Upstream, in_turn
from tests.postgres import Postgres
from tests.servers import postgres_programs
from tests.words import places_of

from .conftest import Folder

WORD, OTHERS = "canary-5b1e-ada", "canary-77c0-bob"
OLD, NEW = "00" * 31 + "01", "00" * 31 + "02"
TOOLS = """
from interlock import tool

@tool(name="pay", effect="idempotent")
def pay(to: str) -> dict:
    return {"paid": to}
"""
CONTRACT = """
agent:
  name: helper
  model: openai/gpt-4o-mini
  logging: {store_prompts: encrypted}
  tools: [{name: session.put}, {name: pay, requires_human_approval: true}]
"""


@pytest.fixture(scope="module")
def server() -> Generator[Postgres]:
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with Postgres() as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("server").fresh() if request.param == "postgres" else ""


def write(root: Path, base_url: str, address: str = "", keys: str = f"master_key: '{OLD}'") -> Folder:
    folder = Folder(root)
    folder.write("tools.py", TOOLS)
    folder.write("agents/helper.yaml", CONTRACT)
    folder.write(
        "interlock.yaml",
        f"tenant: acme\nencryption: {{{keys}}}\nlogging: {{store_prompts: encrypted}}\n"
        "caching: {exact_cache: {enabled: true}}\nwebhooks: [{url: 'http://127.0.0.1:9/hook', secret: hook-secret-hook}]\n"
        f"providers: {{openai: {{base_url: '{base_url}', api_key: k}}}}\n"
        + (f"store: '{address}'\n" if address else ""),
    )
    return folder


def turns(word: str) -> list[Answer]:
    return [
        Answer(tool_calls=(("session_put", json.dumps({"name": "said", "value": word})),)),
        Answer(tool_calls=(("pay", json.dumps({"to": word})),)),
        Answer(text=f"Paid to {word}."),
    ]


async def filled(root: Path, address: str = "") -> str:
    """A lone call, a kept turn, and a task that waits for leave, of each of two tenants; the id of the first one's task."""
    tasks: list[str] = []
    async with Upstream(
        in_turn(*[each for word in (WORD, OTHERS) for each in (Answer(text=word), *turns(word)[:2])])
    ) as upstream:
        write(root, upstream.base_url, address)
        async with Interlock.from_file(root) as il:
            for tenant, user, word in (("acme", "ada", WORD), ("rival", "bob", OTHERS)):
                caller = Caller(tenant, user=user, key_id=f"key_{user}")
                await il.chat("gpt-4o-mini", f"Who is {word}?", caller=caller)
                said = json.dumps({"text": word}).encode()
                await il.kept_responses.keep(caller, f"resp_{user}", "", [said], b"[" + said + b"]", said)
                result = await il.agents.run("helper", {"text": f"Pay {word}."}, caller=caller)
                tasks.append(result.task)
    return tasks[0]


async def decided(root: Path, task: str, word: str, address: str = "", keys: str = f"master_key: '{OLD}'") -> str:
    """A new process takes the task over after leave was given with other arguments; how it ended."""
    async with Upstream(in_turn(turns(word)[2])) as upstream:
        write(root, upstream.base_url, address, keys)
        async with Interlock.from_file(root) as il:
            step = (await il.questions(task))[0].step
            await il.decide(task, step, "edit", "mia", arguments={"to": f"{word}-2"})
            result = await il.resume(task)
            assert result is not None
            return f"{result.outcome}: {result.answer}"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(list(arguments))
    told = capsys.readouterr()
    return code, told.out + told.err


async def started(root: Path) -> None:
    async with Interlock.from_file(root):
        raise AssertionError


@pytest.mark.requirement("SG-08")
def test_no_word_can_be_read_without_a_key_and_all_of_them_with_it(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
):
    task = run(filled(tmp_path, address))
    assert places_of(WORD, tmp_path, address) == []
    assert places_of(task, tmp_path, address) != [], "it was looked at"
    code, trace = said(capsys, "trace", task, "-w", str(tmp_path))
    assert (code, trace.count(WORD) >= 3) == (0, True)
    assert run(decided(tmp_path, task, WORD, address)) == f"resolved: Paid to {WORD}."
    code, trace = said(capsys, "trace", task, "-w", str(tmp_path))
    assert f"{WORD}-2" in trace
    assert said(capsys, "replay", task, "-w", str(tmp_path))[0] == 0
    assert places_of(WORD, tmp_path, address) == []


@pytest.mark.requirement("SG-08")
def test_a_tenants_words_are_gone_everywhere_once_its_keys_are_destroyed(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
):
    root, copies = tmp_path / "workspace", tmp_path / "copies"
    root.mkdir()
    copies.mkdir()
    task = run(filled(root, address))
    run(decided(root, task, WORD, address))
    if not address:
        assert said(capsys, "backup", str(copies / "backup.db"), "-w", str(root))[0] == 0
    assert said(capsys, "erase", "--tenant", "acme", "-w", str(root))[0] == 2, "not without --yes"
    code, told = said(capsys, "erase", "--tenant", "acme", "--yes", "--json", "-w", str(root))
    erased = json.loads(told)
    assert (code, erased["keys"], erased["tasks"] - erased["unreadable"]) == (0, 2, 0)
    assert erased["answers"] >= 2, "what was cached, and the turn of a key that is in no book"
    assert erased["tasks"] >= 2
    assert (erased["left"], erased["open"]) == ([], [])
    assert places_of(WORD, tmp_path, address) == []
    code, trace = said(capsys, "trace", task, "-w", str(root))
    assert (code, WORD in trace, "was destroyed" in trace) == (0, False, True)
    if not address:
        assert said(capsys, "restore", str(copies / "backup.db"), "-w", str(root))[0] == 0
        code, trace = said(capsys, "trace", task, "-w", str(root))
        assert (code, WORD in trace) == (0, False), "a backup does not bring it back"
    others = [row.id for row in _rows(root) if row.tenant == "rival"]
    assert OTHERS in said(capsys, "trace", others[0], "-w", str(root))[1]
    assert address == "" or "everything of acme" in said(capsys, "audit", "-w", str(root))[1]


@pytest.mark.requirement("SG-07")
def test_reading_at_the_command_line_stands_in_the_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    task = run(filled(tmp_path))
    verbs = (("trace", task), ("approve",), ("approve", task, "--json"), ("task", task), ("replay", task))
    told = {verb[0]: said(capsys, *verb, "-w", str(tmp_path))[1] for verb in verbs}
    assert [WORD in told[verb] for verb in ("trace", "approve")] == [True, True]
    code, entries = said(capsys, "audit", "--json", "-w", str(tmp_path))
    deeds = [each["deed"] for each in json.loads(entries) if each["deed"]["action"] == "content.read"]
    read = [deed["detail"] for deed in deeds if deed["target"] == task]
    assert (code, sorted(read)) == (0, ["approve", "approve", "replay", "task", "trace"])
    assert all(deed["who"].startswith("os:") for deed in deeds)
    assert said(capsys, "audit", "verify", "-w", str(tmp_path))[0] == 0


def test_after_an_erasure_the_tenant_may_come_again_under_a_new_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    before = run(filled(tmp_path))
    assert said(capsys, "erase", "--tenant", "acme", "--yes", "-w", str(tmp_path))[0] == 0
    with pytest.raises(KeyMissing, match="cannot be gone on with"):
        run(decided(tmp_path, before, WORD))
    task = run(filled(tmp_path))
    workspace = load(tmp_path)  # as where that erasure had found tasks that were not over
    Erasures(workspace, SystemClock()).note(Erasures(workspace, SystemClock()).all()[-1])
    assert "acme" in said(capsys, "erase", "--again", "-w", str(tmp_path))[1]
    assert WORD in said(capsys, "trace", task, "-w", str(tmp_path))[1]
    assert places_of(WORD, tmp_path) == []


@pytest.mark.requirement("SG-08")
def test_keys_are_rotated_and_wrapped_anew_in_the_middle_of_a_task(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
):
    task = run(filled(tmp_path, address))
    assert said(capsys, "vault", "rotate", "-w", str(tmp_path))[1].startswith("5 new keys")
    both = f"master_key: '{NEW}', previous: ['{OLD}']"
    write(tmp_path, "http://127.0.0.1:9", address, both)
    assert said(capsys, "vault", "status", "-w", str(tmp_path))[0] == 1
    assert said(capsys, "vault", "rewrap", "-w", str(tmp_path))[1].startswith("10 keys wrapped anew")
    assert run(decided(tmp_path, task, WORD, address, f"master_key: '{NEW}'")) == f"resolved: Paid to {WORD}."
    code, status = said(capsys, "vault", "status", "--json", "-w", str(tmp_path))
    keys = {(each["tenant"], each["kind"], each["version"]) for each in json.loads(status)["keys"]}
    theirs = {(tenant, kind, n) for tenant in ("acme", "rival") for kind in ("users", "answers") for n in (1, 2)}
    assert (code, keys) == (0, {("", "content", 1), ("", "content", 2)} | theirs)
    assert said(capsys, "replay", task, "-w", str(tmp_path))[0] == 0
    assert [
        action in said(capsys, "audit", "-w", str(tmp_path))[1] for action in ("vault.rotated", "vault.rewrapped")
    ] == [True, True]


def test_with_another_master_key_nothing_starts_and_readers_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    task = run(filled(tmp_path))
    for keys in (f"master_key: '{NEW}'", "master_key: '${NOT_SET:-}'"):
        folder = write(tmp_path, "http://127.0.0.1:9", keys=keys)
        with pytest.raises(KeyMissing):
            run(started(folder.root))
        code, trace = said(capsys, "trace", task, "-w", str(tmp_path))
        assert (code, WORD in trace) == (0, False)
        assert "is wrapped with master key" in trace
    write(tmp_path, "http://127.0.0.1:9", keys="master_key: 'not-a-key'")
    code, told = said(capsys, "trace", task, "-w", str(tmp_path))
    assert (code, "encryption.master_key" in told, "not-a-key" in told) == (3, True, False)


def test_a_keyring_that_was_lost_and_begun_anew_is_not_worked_with(tmp_path: Path):
    task = run(filled(tmp_path))
    keyring = tmp_path / ".interlock" / "keyring.json"
    aside = keyring.read_bytes()
    keyring.unlink()
    with pytest.raises(KeyMissing, match="is not the keyring"):
        run(started(tmp_path))
    keyring.write_bytes(aside)
    assert run(decided(tmp_path, task, WORD)) == f"resolved: Paid to {WORD}."


def test_encrypted_is_a_fault_where_there_are_no_keys(tmp_path: Path):
    folder = Folder(tmp_path)
    folder.write("interlock.yaml", "logging: {store_prompts: encrypted}\n")
    folder.write("tools.py", TOOLS)
    folder.write("agents/helper.yaml", CONTRACT)
    with pytest.raises(ConfigError) as told:
        load(tmp_path)
    assert sorted((Path(each.file).name, each.key) for each in told.value.faults) == [
        ("helper.yaml", "agent.logging.store_prompts"),
        ("interlock.yaml", "logging.store_prompts"),
    ]


def test_what_is_signalled_to_a_task_is_sealed_and_read(tmp_path: Path):
    task = run(filled(tmp_path))
    store = _store(tmp_path)
    assert store.signals.add(Signal(task, "s", "told", {"note": WORD}))
    assert [each.payload for each in store.signals.pending(task)] == [{"note": WORD}]
    store.close()
    assert places_of(WORD, tmp_path) == []


async def before_and_after(root: Path) -> None:
    """One call in the clear, then one that is sealed."""
    async with Upstream(in_turn(Answer(text=WORD), Answer(text=OTHERS))) as upstream:
        folder = write(root, upstream.base_url)
        (root / "agents" / "helper.yaml").unlink()
        sealed = (root / "interlock.yaml").read_text()
        plain = sealed.replace(f"encryption: {{master_key: '{OLD}'}}\n", "").replace("encrypted", "full")
        for text in (plain, sealed):
            folder.write("interlock.yaml", text)
            async with Interlock.from_file(root) as il:
                await il.chat("gpt-4o-mini", text, caller=Caller("acme", user="ada"))


def test_a_workspace_that_is_sealed_later_reads_both_and_erases_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run(before_and_after(tmp_path))
    assert places_of(WORD, tmp_path) != []
    assert places_of(OTHERS, tmp_path) == []
    texts = "".join(said(capsys, "trace", row.id, "-w", str(tmp_path))[1] for row in _rows(tmp_path))
    assert (WORD in texts, OTHERS in texts) == (True, True)
    assert said(capsys, "erase", "--tenant", "acme", "--yes", "-w", str(tmp_path))[0] == 0
    assert places_of(WORD, tmp_path) == [], "what stood in the clear is deleted"


def _store(root: Path):
    from interlock.app.stores import open_store

    return open_store(load(root))


def _rows(root: Path):
    store = _store(root)
    rows = store.tasks.list(TaskFilter())
    store.close()
    return rows


@pytest.mark.requirement("SG-08")
def test_a_user_is_gone_from_a_plain_store_and_nobody_else_is(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
):
    run(asked_in_the_clear(tmp_path, address))
    assert places_of(WORD, tmp_path, address) != []
    code, told = said(capsys, "erase", "ada", "--yes", "--json", "-w", str(tmp_path))
    erased = json.loads(told)
    assert (code, erased["tasks"], erased["records"], erased["left"]) == (0, 2, 2, [])
    assert places_of(WORD, tmp_path, address) == []
    assert places_of(OTHERS, tmp_path, address) != []


async def asked_in_the_clear(root: Path, address: str) -> None:
    async with Upstream(in_turn(*[Answer(text=word) for word in (WORD, OTHERS) * 2])) as upstream:
        folder = write(root, upstream.base_url, address)
        (root / "agents" / "helper.yaml").unlink()
        sealed = (root / "interlock.yaml").read_text()
        plain = sealed.replace(f"encryption: {{master_key: '{OLD}'}}\n", "").replace("encrypted", "full")
        folder.write("interlock.yaml", plain)
        async with Interlock.from_file(root) as il:
            for n in range(2):
                for user in ("ada", "bob"):
                    await il.chat("gpt-4o-mini", f"{n} {user}", caller=Caller("acme", user=user))


KMS = """
import msgspec
from interlock.storage.sealing.master import LocalMaster

class Settings(msgspec.Struct, forbid_unknown_fields=True):
    region: str

asked = []

class Service:
    name = "kms:key/1"

    def __init__(self, region):
        self._inner = LocalMaster(region.encode().ljust(32))

    def wrap(self, key, about):
        asked.append("wrap")
        return self._inner.wrap(key, about)

    def unwrap(self, wrapped, about):
        asked.append("unwrap")
        return self._inner.unwrap(wrapped, about)

def build(settings):
    return Service(settings.region)
"""


def test_a_plug_in_wraps_the_keys_and_is_asked_once_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    package = tmp_path / "package"
    (package / "far-1.0.dist-info").mkdir(parents=True)
    (package / "far_kms.py").write_text(KMS)
    (package / "far-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: far\nVersion: 1.0\n")
    (package / "far-1.0.dist-info" / "entry_points.txt").write_text("[interlock.kms]\nfar = far_kms\n")
    monkeypatch.syspath_prepend(str(package))
    root = tmp_path / "workspace"
    root.mkdir()
    write(root, "http://127.0.0.1:9", keys="kms: far, options: {region: eu}")
    store = _store(root)
    for n in range(3):
        store.sessions.change("acme", "s", {f"n{n}": WORD}, now_ns=1, ends_ns=1 << 61, max_bytes=999)
    assert store.sessions.read("acme", "s", 2)["n2"] == WORD
    store.close()
    assert sys.modules["far_kms"].asked == ["wrap", "unwrap"]
    assert "kms:key/1" in said(capsys, "vault", "status", "-w", str(root))[1]
    write(root, "http://127.0.0.1:9", keys="kms: fat, options: {region: eu}")
    assert "no plug-in 'fat'" in said(capsys, "vault", "status", "-w", str(root))[1]
    write(root, "http://127.0.0.1:9", keys="kms: far, options: {where: eu}")
    assert "It takes region." in said(capsys, "vault", "status", "-w", str(root))[1]


def test_check_and_doctor_say_what_is_encrypted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run(filled(tmp_path))
    code, told = said(capsys, "doctor", "--storage", "-w", str(tmp_path))
    assert (code, "texts are sealed, with 5 keys of 3 tenants" in told) == (0, True)
    write(tmp_path, "http://127.0.0.1:9", keys="keyring: .interlock/keyring.json")
    code, told = said(capsys, "check", str(tmp_path))
    assert (code, "warning" in told, "no master key is at hand" in told) == (0, True, True)
    code, told = said(capsys, "doctor", "--storage", "-w", str(tmp_path))
    assert (code, "no master key is at hand" in told) == (1, True)


def test_destroying_keys_of_one_kind_leaves_the_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    task = run(filled(tmp_path))
    assert said(capsys, "vault", "rotate", "--tenant", "acme", "--kind", "tokens", "-w", str(tmp_path))[0] == 0
    assert said(capsys, "vault", "destroy", "--tenant", "acme", "--kind", "tokens", "-w", str(tmp_path))[0] == 2
    code, told = said(capsys, "vault", "destroy", "--tenant", "acme", "--kind", "tokens", "--yes", "-w", str(tmp_path))
    assert (code, told.startswith("1 key destroyed")) == (0, True)
    assert WORD in said(capsys, "trace", task, "-w", str(tmp_path))[1]
