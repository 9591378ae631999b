"""A sync's answer to the question what became of a row, in words that need no knowledge of the engine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reverse_etl_assets.cli.deployed import Deployed
from reverse_etl_assets.cli.output import moment
from reverse_etl_assets.cli.row_facts import Facts, Memory, gather
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.previews.planned_rows import PlannedRow
from reverse_etl_assets.reasons import meaning_of
from reverse_etl_assets.records import Reason, Status
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.outcomes import RowOutcome


@dataclass(frozen=True)
class RowAnswer:
    """`sent` holds the values of the last send, or those that the destination last acknowledged."""

    sync: str
    way: str
    key: str
    """As it may be shown."""
    in_model: bool | None
    """None if the model cannot be looked at."""
    next_operation: str | None
    sentences: Sequence[str]
    outcomes: Sequence[RowOutcome]
    sent: Mapping[str, Any]
    sent_title: str
    was_synced: bool
    found_in: Sequence[str] = ()
    """Where the value that was asked for stands, if it is not the row's key."""

    @property
    def known(self) -> bool:
        """Whether the sync has anything to do with the row."""
        return bool(self.outcomes) or bool(self.in_model) or self.was_synced

    @property
    def earlier(self) -> Sequence[RowOutcome]:
        """The outcomes of runs before the last one that knew the row."""
        return [outcome for outcome in self.outcomes if outcome.run_id != self.outcomes[0].run_id]

    def as_json(self) -> dict[str, Any]:
        return {
            "sync": self.sync,
            "key": self.key,
            "found_in": list(self.found_in),
            "known": self.known,
            "answer": " ".join(self.sentences),
            "in_model": self.in_model,
            "next_operation": self.next_operation,
            "sent": dict(self.sent),
            "outcomes": [vars(outcome) for outcome in self.outcomes],
        }


def answer_for(
    deployed: Deployed, sync: Sync, memory: Memory, key: str, *, reveal: bool = False, found_in: Sequence[str] = ()
) -> RowAnswer:
    """Personal data is masked unless it is to be revealed; the key is no secret to who asks by it. `found_in` says
    where what was asked for was found, if that was not the key."""
    hidden = None if reveal else deployed.project.mask(sync)
    shown = (hidden.key(key) or "") if hidden and found_in else key
    facts = gather(deployed, sync, memory, key, hidden, shown)
    sent, title = _sent(facts)
    return RowAnswer(
        sync=sync.sync,
        way=f"{sync.model} -> {sync.destination} {sync.object}, by {', '.join(sync.primary_key)}",
        key=(hidden.key(key) if hidden else key) or "",
        in_model=facts.in_model,
        next_operation=facts.planned.operation if facts.planned else None,
        sentences=[*_past(facts), *_place(facts), *_shares(facts), *_left(facts), *_kept(facts), *_future(facts)],
        outcomes=facts.why.outcomes,
        sent=sent,
        sent_title=title,
        was_synced=facts.why.synced is not None or bool(facts.why.left),
        found_in=found_in,
    )


def _sent(facts: Facts) -> tuple[Mapping[str, Any], str]:
    if facts.last and facts.last.fields and not facts.said_to_have_arrived:
        never = facts.last.reason == Reason.INVALID or facts.last.status == Status.SKIPPED
        return facts.last.values, "values that were not taken:" if never else "values sent:"
    if facts.why.synced:
        values = {name: value for name, value in facts.why.synced.items() if not name.startswith("_retl_")}
        return values, f"values that {facts.sync.destination} has from us:"
    return {}, ""


def _kept(facts: Facts) -> Iterator[str]:
    """The newest word on each field that a rule decided."""
    newest = {entry.field: entry for entry in reversed(facts.conflicts)}
    for entry in newest.values():
        if entry.winner == "destination":
            values = f"{entry.theirs!r} stays, the warehouse has {entry.ours!r}"
            yield f"Field `{entry.field}` ({entry.rule}): {values}; {entry.why}."


def _past(facts: Facts) -> Iterator[str]:
    last, where = facts.last, facts.why.destination or facts.sync.destination
    if last is None:
        yield from _never(facts)
        return
    at = f"{moment(last.answered_at)} (run {last.run_id})"
    words = _words(last)
    match last.status, last.reason:
        case (Status.CREATED | Status.UPDATED | Status.DELETED, _) if facts.undoes:
            yield f"What run {facts.undoes} did to it in {where} was put back at {at}: it was {last.status}."
        case (Status.CREATED | Status.UPDATED, _):
            name = f" as {last.destination_id}" if last.destination_id else ""
            doubt = f" {where} said: {words}." if last.message else ""
            yield f"It was {last.status} in {where}{name} at {at}.{doubt}"
        case (Status.DELETED, _):
            yield f"It was deleted in {where} at {at}, because the row had left the model."
        case (_, Reason.AMBIGUOUS | Reason.HELD) if facts.said_to_have_arrived:
            record = (facts.why.synced or {}).get("_retl_id")
            name = f" as {record}" if record else ""
            yield f"Its answer was lost, and somebody has looked since and said that it did arrive in {where}{name}."
        case (_, Reason.AMBIGUOUS) if last.run_id in facts.memory.at_work:
            yield f"It was handed over to {where} at {at}, in a job whose results the next run folds in."
        case (_, reason) if meaning := meaning_of(reason):
            given = {"where": where, "at": at, "said": words, "message": last.message, "undoes": facts.undoes}
            yield meaning.sentence.format(**given)


def _place(facts: Facts) -> Iterator[str]:
    if facts.link:
        yield f"See {facts.link}"


def _shares(facts: Facts) -> Iterator[str]:
    if keys := facts.why.shares:
        shown = ", ".join(keys[:5]) + (f" and {len(keys) - 5:,} more" if len(keys) > 5 else "")
        yield f"{facts.sync.destination} takes it for the same record as {shown}: the last of them to be sent counts."


def _words(outcome: RowOutcome) -> str:
    field = f" (field {outcome.field})" if outcome.field else ""
    code = f"{outcome.code}: " if outcome.code else ""
    return f"{code}{outcome.message or 'without a message'}{field}"


def _never(facts: Facts) -> Iterator[str]:
    run = facts.last_run
    if facts.why.synced is not None and facts.why.synced.get("_retl_run") is None:
        yield f"It was in {facts.sync.destination} already when this version of the sync began; we never wrote it."
    elif facts.why.synced is not None:
        yield f"It was sent longer ago than outcomes are kept, last in run {facts.why.synced.get('_retl_run')}."
    elif facts.memory.gap:
        yield "What this sync remembers has no send of it."
    elif run is None:
        yield "This sync has not run yet."
    elif facts.in_model is False:
        yield f"No row of the model {facts.sync.model} has this key."
    else:
        yield "It was never sent, as far as this sync remembers."
    if run and run.status is RunStatus.GUARDED and facts.in_model:
        yield f"The last run, at {moment(run.started_at)}, sent nothing at all: {run.detail}"


def _left(facts: Facts) -> Iterator[str]:
    for row in facts.why.left:
        name = f" as {row.destination_id}" if row.destination_id else ""
        by = (
            f" by version {row.version}, last in run {row.run_id}"
            if row.run_id
            else f" when version {row.version} began"
        )
        words = "written" if row.run_id else "there"
        yield f"It was {words} in {row.destination} {row.object}{name}{by}, and is not followed any more."


def _future(facts: Facts) -> Iterator[str]:
    """What will happen to the row, and what stands in its way."""
    if facts.obstacle:
        yield facts.obstacle
        return
    sends = facts.planned is not None
    yield from _next(facts)
    if facts.stop and (sends or facts.in_model):
        yield f"But everything is stopped ({facts.stop.scope}) by {facts.stop.who}: {facts.stop.why}"
    elif sends and facts.look:
        for finding in facts.look.findings:
            if finding.guard in ("parents", "model_tests") and not finding.passed:
                yield f"But a guard stops the next run: {finding.message}"


def _next(facts: Facts) -> Iterator[str]:
    planned, refused = facts.planned, facts.refused
    if facts.why.held is not None:
        yield (
            f"It is kept back until somebody has looked in {facts.sync.destination} whether it arrived;"
            f" `reverse-etl release` then lets it be sent again, or with `--arrived` takes it for sent."
        )
    elif refused is not None and refused.reason == Reason.QUARANTINED:
        known = facts.last and facts.last.reason == Reason.QUARANTINED
        why = "It stays in quarantine" if known else f"It goes into quarantine ({refused.message})"
        frees = f"`reverse-etl retry KEY --sync {facts.sync.sync}` lets it be sent once more"
        yield f"{why}: it is not sent until its values or the mapping change; {frees}."
    elif refused is not None and refused.waits_for is not None:
        parent, key = refused.waits_for
        where = f"the row {key} of {parent}"
        yield f"It waits for {where}: {refused.message}. The next run sends it, once that has arrived;"
        yield f'`reverse-etl why "{key}" --sync {parent}` says what became of that one.'
    elif refused is not None:
        yield f"It cannot be sent as it stands in the model now: {refused.message}."
    elif planned is not None:
        yield _next_send(facts, planned)
    elif facts.in_model is False:
        if facts.last and facts.last.status != Status.DELETED:
            yield f"It is not in the model {facts.sync.model} any more."
    elif facts.look and not facts.look.plan.removed_known and facts.why.synced is None:
        yield "It was modified too long ago for the next run to look at it; the next full compare will find it."
    elif facts.why.synced is not None:
        yield "It has not changed since, so there is nothing to send."
    if facts.look and (older := facts.look.plan.superseded):
        latest_by = facts.sync.on_duplicate_key.latest_by
        yield f"Rows of this key that are left out, because their `{latest_by}` is not the greatest: {older:,}."


def _next_send(facts: Facts, planned: PlannedRow) -> str:
    match planned.kind:
        case "added":
            again = "tries it again" if facts.last else "sends it"
            return f"It is in the model; the next run {again} ({planned.operation})."
        case "removed":
            return "It has left the model; the next run deletes it."
    if planned.kind == "unchanged":
        return "The next run sends it again, as this sync always sends every row."
    if not planned.fields:
        return "The mapping has changed since it was sent; the next run sends it again."
    tries = "tries it again" if facts.last and facts.last.status == Status.FAILED else "sends it"
    return f"{facts.sync.destination} does not have the model's {', '.join(planned.fields)} yet; the next run {tries}."
