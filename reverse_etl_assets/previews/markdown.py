"""A plan in Markdown, for a pull request, a ticket or Dagster: short however large the plan is. Pure."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from reverse_etl_assets.guards import to_decide
from reverse_etl_assets.guards.finding import tripped
from reverse_etl_assets.plan.field_changes import FieldChange
from reverse_etl_assets.previews.planned_rows import PlannedRow, some_of_each
from reverse_etl_assets.previews.preview import Preview
from reverse_etl_assets.visible_text import visible
from reverse_etl_assets.warehouses.row_times import in_words

_COUNTS = ("added", "changed", "removed", "unchanged", "rejected", "held")
_IF_ANY = ("quarantined", "superseded", "waiting")
_GUARDS, _FIELDS = 20, 15
_OF_A_CHANGED_ROW, _OF_A_ROW = 8, 4  # fields
_LONG, _SHORT = 300, 80  # characters
_SIGNS = {"added": "+", "changed": "~", "removed": "-"}


def markdown(found: Preview, *, examples: int = 10) -> str:
    """Below 50,000 characters. The rows are shown as they are: mask the preview before."""
    parts = (_heading(found), _counts(found), _guards(found), _fields(found), _rows(found, examples), _forecast(found))
    return "\n\n".join(filter(None, (*parts, approve_with(found)))) + "\n"


def approve_with(found: Preview) -> str:
    """How this plan is let out, or why nobody needs to."""
    waiting, plan_id = found.waiting, found.plan_id
    if waiting and found.waits and waiting.who is not None:
        return f"Approved by {_plain(waiting.who)}: {_plain(waiting.why or '')}. The next run sends it."
    if plan_id is None or not to_decide(found.findings) or not found.plan.to_send:
        return ""
    command = f'reverse-etl approve {plan_id} --why "..." --run'
    asset = f"{found.sync.destination}__{found.sync.sync}"
    config = f'ops:\n  {asset}:\n    config:\n      approve: "{plan_id}"\n      why: "..."'
    first = "" if found.waits else "A run now would send nothing and keep this plan for a decision. "
    return (
        f"{first}To send exactly this plan:\n\n```bash\n{command}\n```\n\n"
        f"or in Dagster, *Materialize* › *Open launchpad*, with this config:\n\n```yaml\n{config}\n```"
    )


def sends(found: Preview) -> str:
    """What goes out, in words."""
    rows = ", ".join(f"{rows:,} {operation}" for operation, rows in sorted(found.plan.to_send.items()))
    if not rows:
        return "nothing to send"
    return f"{rows} in {requests(found.forecast.writes)}" if found.forecast else rows


def requests(number: int) -> str:
    return f"{number:,} request{'s' * (number != 1)}"


def forecast_lines(found: Preview) -> Iterator[str]:
    """What the plan takes of the account, and what of it is left."""
    forecast, room, cost = found.forecast, found.room, found.sync.cost
    if forecast is None or room is None:
        what = "its requests are not" if found.plan_id else "neither the plan's id nor its requests are"
        yield f"Without credentials {what} known."
        return
    parts = {"to write": forecast.writes, "to read before": forecast.reads, "to verify": forecast.verifies}
    text = ", ".join(f"{number:,} {what}" for what, number in parts.items() if number)
    full = f"a full sync would take {forecast.full_sync:,} at least ({forecast.saved:,} saved)"
    yield f"{requests(forecast.calls)}{f': {text}' if text else ''}; {full}."
    if cost.per_call or cost.per_row:
        yield f"Cost: {forecast.cost:,.2f}."
    left = "any number is" if room.left is None else f"{room.left:,} are"
    where = found.sync.destination
    vendor = f"; {where} itself counts {room.vendor.used:,} of {room.vendor.limit:,}" if room.vendor else ""
    yield f"{requests(room.calls)} made to {where} today, {left} left{vendor}."


def _heading(found: Preview) -> str:
    sync = found.sync
    plan = f"plan `{found.plan_id}`" if found.plan_id else "the plan has no id yet"
    verdict = "goes out" if found.goes_out else "**sends nothing** until it is approved or mended"
    return (
        f"## {_plain(sync.sync)}: {sends(found)}\n\n"
        f"{_code(sync.model)} → {_code(f'{sync.destination} {sync.object}')}, {sync.sync_mode}; {plan}. It {verdict}."
    )


def _counts(found: Preview) -> str:
    names = [*_COUNTS, *(name for name in _IF_ANY if getattr(found.plan, name))]
    table, odd = _table(names, [[f"{getattr(found.plan, name):,}" for name in names]]), found.plan.unusable_times
    more = (f"Rows have {_plain(in_words(odd))}." if odd else "", trial_in_words(found))
    return "\n\n".join(filter(None, (table, *more)))


def trial_in_words(found: Preview) -> str:
    """What of the plan a trial would send; nothing if it is to go out as a whole."""
    if found.trial is None:
        return ""
    of_it = ", ".join(f"{rows:,} {operation}" for operation, rows in sorted(found.trial.items())) or "nothing"
    return f"A trial would send {of_it} of it, and leave the rest to the next run."


def _guards(found: Preview) -> str:
    if found.stop:
        return f"**Stopped** ({_plain(found.stop.scope)}) by {_plain(found.stop.who)}: {_plain(found.stop.why)}"
    bad, good = tripped(found.findings), [finding for finding in found.findings if finding.passed]
    rows = [(f"**{finding.guard}**", _plain(finding.message)) for finding in bad[:_GUARDS]]
    more = f"\n\n{len(bad) - _GUARDS:,} more guards tripped." if len(bad) > _GUARDS else ""
    quiet = f"Passed: {', '.join(dict.fromkeys(finding.guard for finding in good))}." if good else ""
    return "\n\n".join(filter(None, (_table(("guard that stops it", "why"), rows) if rows else "", quiet))) + more


def _fields(found: Preview) -> str:
    changes = sorted(found.plan.field_changes, key=lambda change: (-change.changed, change.field))
    if not changes:
        return ""
    rows = [(_code(each.field), f"{each.changed:,}", _emptied(each)) for each in changes[:_FIELDS]]
    more = f"\n\n{len(changes) - _FIELDS:,} more fields change in fewer rows." if len(changes) > _FIELDS else ""
    return f"### Fields that change\n\n{_table(('field', 'rows', 'of them emptied'), rows)}{more}"


def _emptied(change: FieldChange) -> str:
    return f"{change.emptied:,} of {change.filled:,} that have a value" if change.emptied else ""


def _rows(found: Preview, examples: int) -> str:
    shown = some_of_each(found.rows, examples)
    if not shown:
        return ""
    total = sum(found.plan.to_send.values())
    rows = [line for row in shown for line in _row(row)]
    title = f"### {len(shown):,} of {total:,} rows"
    return f"{title}\n\n{_table(('row', 'field', 'before', 'after'), rows)}"


def _row(row: PlannedRow) -> Iterator[tuple[str, str, str, str]]:
    key = f"{_SIGNS.get(row.kind, '=')} {_code(row.key)} {row.operation or ''}"
    fields, most = list(row.fields.items()), _OF_A_CHANGED_ROW if row.kind == "changed" else _OF_A_ROW
    for place, (name, (before, after)) in enumerate(fields[:most]):
        yield "" if place else key, _code(name), _code(before), _code(after)
    if not fields:
        yield key, "", "", ""
    elif len(fields) > most:
        yield "", f"{len(fields) - most:,} more", "", ""


def _forecast(found: Preview) -> str:
    return "### Forecast\n\n" + "\n".join(f"- {_plain(line)}" for line in forecast_lines(found))


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(columns)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(value: Any) -> str:
    """A value from outside as a code span: there it is no markup, no link and mentions nobody."""
    if value is None:
        return "*empty*"
    text = _clipped(str(value), _SHORT)
    if not text.strip():
        return f"`{text or ' '}`"
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def _plain(text: str) -> str:
    """Our own words, with names and people's reasons in them; the invisible space keeps `@name` from calling people."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", _clipped(text, _LONG)).replace("@", "@\u200b")


def _clipped(text: str, size: int) -> str:
    text = visible(re.sub(r"[\t\n\r\u2028\u2029]+", " ", text))
    return text if len(text) <= size else f"{text[: size - 1]}…"
