-- The change set that deletes a person's records, by every way in which the state writes the key. `known` is the id of a
-- record that was deleted before, if the destination can be asked to erase that.
create or replace table {{ outbox }} as
select
    'removed' as kind,
    {%- for key in keys %}
    synced.{{ key.name }},
    {%- endfor %}
    wanted.key,
    wanted.key as external_id,
    coalesce(synced._retl_id, $known) as destination_id,
    null::varchar as reason,
    null::varchar as message,
    null::varchar[] as changed_fields,
    null::{{ struct_type }} as before,
    null::{{ struct_type }} as after,
    null::varchar[] as sent_fields,
    null::timestamp as row_time,
    'delete' as operation,
    null::varchar as sent,
    null::varchar[] as untold,
    false as stays_synced
from (select unnest($keys::varchar[]) as key) as wanted
left join state.synced as synced on synced._retl_key = wanted.key
