-- Rows that were refused too often with the values that they have now get no operation.
with suspects as materialized (
    select outbox.rowid as number, outbox.key, {{ digest }} as digest
    from {{ outbox }} as outbox
    where outbox.operation is not null
    and outbox.key in (select key from state.refusals where times >= $after and not freed)
)
update {{ outbox }} as outbox
set
    operation = null,
    reason = 'quarantined',
    message = 'refused ' || refusals.times || case when refusals.times = 1 then ' time' else ' times' end
        || ' with these values since ' || strftime(refusals.first_at, '%Y-%m-%d %H:%M') || ' UTC: '
        || coalesce(refusals.code || ': ', '') || coalesce(refusals.message, 'without a message')
        || coalesce(' (field ' || refusals.field || ')', '') || $more
from suspects
join state.refusals as refusals on refusals.key = suspects.key and refusals.digest = suspects.digest
where outbox.rowid = suspects.number
