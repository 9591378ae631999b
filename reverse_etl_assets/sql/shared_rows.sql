-- Rows that are about to be deleted whose record other synced rows stand for as well, each with one that stays.
create or replace temp table shared_rows as
with leaving as (
    select rowid as number, destination_id, unnest({{ ids('destination_id') }}) as id
    from {{ outbox }}
    where operation = 'delete' and destination_id is not null
),
synced as (
    select {{ key_names }}, _retl_key as heir, unnest({{ ids('_retl_id') }}) as id
    from state.synced
    {%- if not separator %}
    where _retl_id in (select id from leaving)
    {%- endif %}
)
select distinct leaving.number, leaving.destination_id, {{ key_names }}, synced.heir
from leaving
join synced using (id)
where synced.heir not in (select key from {{ outbox }} where operation is not null and not stays_synced)
