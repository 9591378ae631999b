-- What a run sent and the destination said it took: the values that went out, which of them, and what the destination won.
-- Not of rows that share a record: it holds what the last of them sent.
with written as (
    select key, status, destination_id
    from state.outcomes
    where run_id = $run_id and status in ('created', 'updated', 'deleted')
        and key not in ({{ shared }})
    {%- if limit is not none %}
    order by random()
    limit {{ limit }}
    {%- endif %}
),
kept as (
    select key, list(field) as fields from state.kept group by key
)
select
    outbox.key,
    outbox.external_id,
    written.destination_id,
    written.status = 'deleted' as deleted,
    coalesce(outbox.sent, {{ after }}) as fields,
    outbox.sent_fields,
    kept.fields as kept
from written
join state.outbox as outbox on outbox.key = written.key and outbox.operation is not null
left join kept on kept.key = outbox.key
