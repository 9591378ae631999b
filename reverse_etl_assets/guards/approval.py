"""Who may let a plan out: its id is the digest of its content, so that an approval holds for exactly this plan."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.guards import is_approvable
from reverse_etl_assets.guards.finding import Finding, tripped
from reverse_etl_assets.journal.records import WaitingPlan
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.records import FieldType
from reverse_etl_assets.spec.policies import Approval
from reverse_etl_assets.warehouses.column_types import field_type
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection

_PACE = {"budget", "concurrency", "requests_per_second"}  # settings that change how fast, not what
_PARTS = {
    "mapping": "the mapping of {}",
    "types": "the type of {}",
    "target": "{}",
    "destination": "the destination's {}",
}


@dataclass(frozen=True)
class Identity:
    """A plan's id, and of what it is made: data, mapping and destination, each as text that can be compared."""

    plan_id: str
    basis: Mapping[str, str]


def identify(con: Connection, columns: Columns, account: Account, plan: Plan, outbox: str = "state.outbox") -> Identity:
    """The identity of the plan in the outbox. Secrets are no part of it."""
    sync = columns.sync
    settings = account.connection.model_dump(mode="json", exclude=_PACE)
    target: tuple[str, ...] = ("object", "external_id", "primary_key", "sync_mode", "version")
    target += ("query",) if sync.query else ()
    options = {f"options.{name}": value for name, value in sync.options.items()}
    basis = {
        "sync": sync.sync,
        "rows": _rows_digest(con, columns, outbox),
        "counts": _text({operation.value: rows for operation, rows in sorted(plan.to_send.items())}),
        "mapping": _digests({name: source.model_dump(mode="json") for name, source in sync.mapping.items()}),
        "types": _digests({n: f.sql_type for n, f in zip(sync.mapping, columns.fields, strict=True)}),
        "target": _digests({name: getattr(sync, name) for name in target}),
        "destination": _digests({**settings, **options, "name": account.name, "type": account.type.__qualname__}),
    }
    return Identity(_digest(sorted(basis.items())), basis)


def _rows_digest(con: Connection, columns: Columns, outbox: str) -> str:
    """Of the rows that would go out, in any order: how many there are, and the sum of their hashes.

    SHA-256 took longer than the plan (docs/adr/0012). DuckDB's hash takes an empty list for NULL, and may be another in
    another version of DuckDB; then a plan that waits has to be approved anew.
    """
    parts = ["key", "external_id", "destination_id", "kind", "operation", "sent_fields::varchar", "sent"]
    for side in ("before", "after"):
        parts += [f"{side} is null", *_hashable(columns, side)]
    row = con.execute(
        f"select count(*), coalesce(sum(hash(hash({', '.join(parts)}))), 0) from {outbox} where operation is not null"
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return f"{row[0]}:{row[1]:x}"


def _hashable(columns: Columns, side: str) -> Iterator[str]:
    for field in columns.fields:
        nested = field_type(field.sql_type) is FieldType.JSON
        yield f"{side}.{field.name}{'::varchar' if nested else ''}"


def decide(
    findings: Sequence[Finding],
    identity: Identity | None,
    plan: Plan,
    approval: WaitingPlan | None,
    policy: Approval,
    *,
    asked: str | None = None,
) -> list[Finding]:
    """The findings once an approval has been looked at: it lifts what it was shown, for exactly its plan.

    If a plan was `asked` for, no other goes out. A plan with nothing to send needs nobody; without an `identity` it is
    not known whether the approval is for this plan.
    """
    if approval and identity and approval.plan_id == identity.plan_id:
        shown = {(finding.guard, finding.field) for finding in approval.findings}
        by = f"approved by {approval.who}: {approval.why}"
        lifted = [
            replace(f, passed=True, message=f"{f.message}; {by}")
            if not f.passed and is_approvable(f) and (f.guard, f.field) in shown
            else f
            for f in findings
        ]
        return [*lifted, Finding("approval", True, by)]
    if not plan.to_send:
        return [*findings, Finding("approval", True, "there is nothing to send")]
    waits = policy is Approval.ALWAYS
    if approval and identity and (waits or asked or tripped(findings)):
        stale = f"the approval of plan {approval.plan_id} does not hold: {_changed(approval.basis, identity.basis)}"
        return [*findings, Finding("approval", False, stale)]
    if asked:
        return [*findings, Finding("approval", False, f"plan {asked} is not approved any more")]
    if waits:
        return [*findings, Finding("approval", False, "the plan waits for a person's approval")]
    return [*findings, Finding("approval", True, "the sync does not ask for it")]


def _changed(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """In words, what is not as it was when the plan was approved."""
    changes = []
    for part, words in _PARTS.items():
        before, after = (msgspec.json.decode(each.get(part, "{}"), type=dict[str, str]) for each in (then, now))
        if names := [f"`{name}`" for name in {**before, **after} if before.get(name) != after.get(name)]:
            changes.append(f"{words.format(', '.join(names))} changed")
    if then.get("rows") != now["rows"]:
        changes.append(f"the data changed ({_counts(then.get('counts', '{}'))}, now {_counts(now['counts'])})")
    return ", ".join(changes) or "the plan changed"


def _counts(text: str) -> str:
    counts: dict[str, int] = msgspec.json.decode(text)
    return ", ".join(f"{rows:,} {operation}" for operation, rows in counts.items()) or "nothing to send"


def _digests(parts: Mapping[str, Any]) -> str:
    return _text({name: _digest(value) for name, value in parts.items()})


def _digest(value: object) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()[:16]


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
