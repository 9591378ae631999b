-- One outcome for each row of the outbox: what the destination said, or why the row was not sent.
insert into state.outcomes
select
    $run_id as run_id,
    coalesce(answers.answered_at, $now::timestamp) as answered_at,
    outbox.key,
    outbox.kind,
    outbox.operation,
    case
        when answers.status is not null then answers.status
        when outbox.reason in ({{ failed_reasons }}) then 'failed'
        else 'skipped'
    end as status,
    coalesce(answers.reason, outbox.reason, case when answers.status is null then $unsent end) as reason,
    coalesce(answers.code, refusals.code) as code,
    case when answers.status is null then coalesce(outbox.message, $stopped) else answers.message end as message,
    coalesce(answers.field, refusals.field) as field,
    -- a row that went out without the id of its record, which is gone, is not where it was
    coalesce(answers.destination_id, case when not coalesce(answers.anew, false) then outbox.destination_id end)
        as destination_id,
    coalesce(answers.inferred, false) as inferred,
    outbox.changed_fields,
    case
        when answers.status is null or answers.status not in ('created', 'updated') -- what was deleted has none
        then {{ fields_json }}
    end as fields
from state.outbox as outbox
left join answers on answers.number = outbox.rowid
left join state.refusals as refusals on outbox.reason = 'quarantined' and refusals.key = outbox.key
