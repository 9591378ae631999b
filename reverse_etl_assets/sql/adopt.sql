-- Records that were there become synced rows, with the values that they hold.
insert into state.synced by name
with found as (
    select
        adopting.*,
        current.destination_id,
        {%- for field, held in fields %}
        list_contains(differing, {{ field.literal }}) as differs_{{ loop.index }},
        {{ held }} as held_{{ loop.index }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from state.adopting
    join state.current on current.number = adopting.rowid
),
told as (
    select
        *,
        list_filter([
            {%- for field, held in fields %}
            case
                when differs_{{ loop.index }}
                    and (held_{{ loop.index }} is null or held_{{ loop.index }} is not distinct from after.{{ field.name }})
                then {{ field.literal }}
            end
            {%- if not loop.last %},{% endif %}
            {%- endfor %}
        ], lambda name: name is not null) as untold
    from found
)
select
    key as _retl_key,
    destination_id as _retl_id,
    null::varchar as _retl_run,
    case when len(untold) > 0 then untold end as _retl_untold,
    {%- for key in keys %}
    {{ key.name }},
    {%- endfor %}
    {%- for field, held in fields %}
    case when differs_{{ loop.index }} then held_{{ loop.index }} else after.{{ field.name }} end as {{ field.name }}
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
from told
