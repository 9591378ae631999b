-- Rows that share a record with another one, by each id that may have come to be shared: those that this run learned.
-- A record that the vendor says it has just made stands for its row alone.
insert into state.shared
select id, _retl_key
from (
    select _retl_key, unnest({{ ids('_retl_id') }}) as id from state.synced where _retl_id is not null
)
{%- if run %}
where id in (
    select unnest({{ ids('answers.destination_id') }})
    from answers
    join state.outbox as outbox on outbox.rowid = answers.number
    where
        answers.destination_id is distinct from outbox.destination_id
        and not (answers.status = 'created' and not answers.inferred)
        and ({{ settled }})
)
{%- endif %}
qualify count(*) over (partition by id) > 1
