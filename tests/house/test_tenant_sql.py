"""Every statement over rows of tenants names the tenant, or stands on a list with the reason why it does not."""

import re
from importlib.resources import files

import pytest

from interlock.storage.statements import migrations, statements

BY_ANOTHER = {"signals", "batch_lines", "keys"}
"""Tables whose rows are a tenant's by the task, the batch or the record that they stand for."""

WITHOUT = {
    "old rows of everybody leave by their age": """archives.drop_calls archives.drop_events archives.drop_moved archives.drop_segment archives.drop_signals
        archives.drop_task archives.drop_tasks archives.forget_calls archives.forget_events archives.forget_segments archives.oldest archives.pack_calls
        archives.pack_event archives.pack_events archives.pack_segment archives.said_calls archives.said_events archives.said_of archives.said_segments
        archives.tasks archives.unread archives.unsaid_tasks archives.used cache.keys cache.purge cache.trim circuits.forget responses.purge similar.purge""",
    "the chain and the book of keys are one for all": "audit.alone audit.head keys.all keys.put",
    "a worker takes whosever turn it is, by the id that it holds": """batches.active batches.hold batches.release batches.renew batches.save tasks.hold tasks.lease
        tasks.release tasks.renew tasks.runnable tasks.settle_status tasks.standing tasks.take tasks.unfinished outbox.again outbox.done outbox.forget outbox.put_off
        outbox.waiting""",
    "by the id of a batch, which was found under its tenant": """batches.add_line batches.answered batches.answers batches.counts batches.drop_lines
        batches.pending""",
    "a name is a keyed hash of tenant and text": "bodies.drop bodies.held bodies.some bodies.there bodies.use",
    "by the id of a task, whose tenant its reader compares (tests/server/test_tenants.py)": """calls.among calls.find calls.kept calls.moved calls.set_content
        events.at events.contents events.set_content events.there segments.delete segments.holding segments.known segments.near_rows segments.newest
        segments.with_rows signals.add signals.called signals.consume signals.forget signals.pending tasks.add tasks.find tasks.get tasks.known tasks.of_batch""",
    "the sums of the whole ledger, and its order": """calls.totals events.totals outcomes.totals roll.totals segments.totals tail.behind tail.end tail.segments""",
}


def tenants_tables(database: str) -> set[str]:
    """Tables and views of the schema that have a column `tenant`, or rows that are a tenant's by another."""
    script = "\n".join(migrations(database))
    made = re.findall(
        r"CREATE (?:TABLE|VIEW) (?:IF NOT EXISTS )?(\w+)\s*(?:\(|AS)(.*?);\s*$", script, re.DOTALL | re.MULTILINE
    )
    return {name for name, body in made if re.search(r"\btenant\b", body)} | BY_ANOTHER


def unnamed(database: str) -> set[str]:
    tables = "|".join(tenants_tables(database))
    touches = re.compile(rf"\b(from|join|update|into|table)\s+({tables})\b", re.IGNORECASE)
    folder = files("interlock.storage") / database / "sql"
    nouns = [entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return {
        f"{noun}.{name}"
        for noun in nouns
        for name, sql in statements(noun, database).items()
        if touches.search(sql) and not re.search(r"\btenants?\b", sql)
    }


@pytest.mark.requirement("SG-05")
def test_every_statement_over_a_tenants_rows_names_the_tenant_or_says_why_not():
    listed = [name for names in WITHOUT.values() for name in names.split()]
    assert len(listed) == len(set(listed))
    assert len(tenants_tables("postgres")) > 15
    found = unnamed("") | unnamed("postgres")
    assert found - set(listed) == set(), "name the tenant, or say here why not"
    assert set(listed) - found == set(), "these name it now, or are gone: take them off the list"
