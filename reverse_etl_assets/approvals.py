"""Who may let a plan out: its id is the digest of its content, so that an approval holds for exactly this plan."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
import msgspec

from reverse_etl_assets.columns import Columns
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.guard import Finding, tripped
from reverse_etl_assets.journal_records import WaitingPlan
from reverse_etl_assets.plan import Plan
from reverse_etl_assets.policies import Approval

_NEVER_APPROVED = frozenset({"kill_switch", "budget"})
_PACE = {"budget", "concurrency", "requests_per_second"}  # settings that change how fast, not what


@dataclass(frozen=True)
class Identity:
    """A plan's id, and of what it is made: data, mapping and destination, each as text that can be compared."""

    plan_id: str
    basis: Mapping[str, str]


def identify(
    con: duckdb.DuckDBPyConnection, columns: Columns, account: Account, plan: Plan, outbox: str = "state.outbox"
) -> Identity:
    """The identity of the plan in the outbox. Secrets are no part of it."""
    sync = columns.sync
    fields = sorted((name, source.model_dump(mode="json")) for name, source in sync.mapping.items())
    target = (sync.object, sync.external_id, sync.primary_key, sync.sync_mode, sync.version)
    settings = account.connection.model_dump_json(exclude=_PACE) if account.connection else ""
    basis = {
        "sync": sync.sync,
        "rows": _rows_digest(con, columns, outbox),
        "counts": _text({operation.value: rows for operation, rows in sorted(plan.to_send.items())}),
        "mapping": _text(fields),
        "target": _text(target),
        "destination": _text([account.name, account.type.__qualname__, settings, sync.options]),
    }
    return Identity(hashlib.sha256(_text(sorted(basis.items())).encode()).hexdigest()[:16], basis)


def _rows_digest(con: duckdb.DuckDBPyConnection, columns: Columns, outbox: str) -> str:
    """Of the rows that would go out, in any order."""
    after, before = (
        f"case when {side} is not null then {columns.json(side)}::varchar end" for side in ("after", "before")
    )
    content = f"key, external_id, kind, operation, sent_fields::varchar, coalesce(sent, {after}), {before}"
    row = con.execute(
        "select coalesce(sha256(string_agg(digest, '' order by digest)), '')"
        f" from (select sha256(to_json([{content}])::varchar) as digest from {outbox} where operation is not null)"
    ).fetchone()
    return str(row[0]) if row else ""


def decide(
    findings: Sequence[Finding], identity: Identity, plan: Plan, approval: WaitingPlan | None, policy: Approval
) -> list[Finding]:
    """The findings once an approval has been looked at: it lifts what it was shown, for exactly its plan."""
    if approval and approval.plan_id == identity.plan_id:
        shown = {finding.guard for finding in approval.findings} - _NEVER_APPROVED
        by = f"approved by {approval.who}: {approval.why}"
        lifted = [
            replace(f, passed=True, message=f"{f.message}; {by}") if not f.passed and f.guard in shown else f
            for f in findings
        ]
        return [*lifted, Finding("approval", True, by)]
    waits = policy is Approval.ALWAYS and bool(plan.to_send)
    if approval and (waits or tripped(findings)):
        stale = f"the approval of plan {approval.plan_id} does not hold: {_changed(approval.basis, identity.basis)}"
        return [*findings, Finding("approval", False, stale)]
    if waits:
        return [*findings, Finding("approval", False, f"plan {identity.plan_id} waits for a person's approval")]
    return [*findings, Finding("approval", True, "none needed")]


def _changed(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """In words, what is not as it was when the plan was approved."""
    said = []
    if then.get("mapping") != now["mapping"]:
        before, after = (
            dict(map(_pair, msgspec.json.decode(each))) for each in (then.get("mapping", "[]"), now["mapping"])
        )
        fields = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        said.append(f"the mapping of {', '.join(f'`{name}`' for name in fields)} changed")
    if then.get("target") != now["target"]:
        said.append("the object, key, mode or version changed")
    if then.get("destination") != now["destination"]:
        said.append("the destination's settings changed")
    if then.get("rows") != now["rows"]:
        said.append(f"the data changed ({_counts(then.get('counts', '{}'))}, now {_counts(now['counts'])})")
    return ", ".join(said) or "the plan changed"


def _pair(item: list[object]) -> tuple[str, str]:
    return str(item[0]), _text(item[1])


def _counts(text: str) -> str:
    counts: dict[str, int] = msgspec.json.decode(text)
    return ", ".join(f"{rows:,} {operation}" for operation, rows in counts.items()) or "nothing to send"


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
