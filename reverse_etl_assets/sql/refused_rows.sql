-- Rows of the outbox that were refused before or are refused now, each with the digest of the values that it has now.
create or replace temp table refused_rows as
with looked_at as (
    select outbox.rowid as number
    from {{ outbox }} as outbox
    where outbox.key in (select key from state.refusals) and outbox.kind not in ('rejected', 'superseded', 'held')
    union
    select number from answers where {{ refused }}
)
select
    outbox.key,
    {{ digest }} as digest,
    coalesce({{ refused }}, false) as again,
    coalesce({{ settled }}, false) as settled,
    answers.answered_at, answers.code, answers.message, answers.field
from looked_at
join {{ outbox }} as outbox on outbox.rowid = looked_at.number
left join answers on answers.number = looked_at.number
