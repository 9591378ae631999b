-- A held row that did arrive becomes a synced row with the values that were sent.
insert into state.synced by name
with sent as (
    select key, run_id, {{ unpacked }}
    from (select key, run_id, fields as image from state.held where key = $key limit 1)
)
select
    key as _retl_key,
    $destination_id as _retl_id,
    run_id as _retl_run,
    nullif(list_filter([
        {%- for field in fields %}
        case when not coalesce({{ field.exact }}, false) then {{ field.literal }} end{% if not loop.last %},{% endif %}
        {%- endfor %}
    ], lambda name: name is not null), []) as _retl_untold,
    {%- for key in keys %}
    try_cast({{ key_values[loop.index0] }} as {{ key.sql_type }}) as {{ key.name }},
    {%- endfor %}
    {%- for field in fields %}
    {{ field.value }} as {{ field.name }}{% if not loop.last %},{% endif %}
    {%- endfor %}
from sent
