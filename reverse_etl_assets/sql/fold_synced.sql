-- Acknowledged rows replace their synced rows.
insert into state.synced by name
select
    outbox.key as _retl_key,
    coalesce(answers.destination_id, case when not coalesce(answers.anew, false) then outbox.destination_id end)
        as _retl_id,
    $run_id as _retl_run,
    outbox.untold as _retl_untold,
    {%- for key in keys %}
    outbox.{{ key.name }} as {{ key.name }},
    {%- endfor %}
    {%- for field in fields %}
    outbox.after.{{ field.name }} as {{ field.name }}{% if not loop.last %},{% endif %}
    {%- endfor %}
from state.outbox as outbox
join answers on answers.number = outbox.rowid
where ({{ settled }}) and outbox.stays_synced
