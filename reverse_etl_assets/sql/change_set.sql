-- The change set: the model compared with the synced rows, key by key and value by value.
-- Rows with an unusable key are left out of the model's side here and rejected in rejected_rows.sql; a key that the model
-- holds twice still meets its synced row, so it never looks removed.
create or replace table {{ outbox }} as
with model as (
    select
        {%- for key in keys %}
        {{ key.expression }} as {{ key.name }},
        {%- endfor %}
        {{ external_id }} as _retl_external_id
        {%- for field in fields %},
        {{ field.expression }} as {{ field.name }}
        {%- endfor %}
        {%- if row_time %},
        {{ row_time }} as _retl_row_time
        {%- endif %}
    from {{ relation }}
    where {{ has_key }}
    {%- if prefilter %} and ({{ prefilter }}){% endif %}
    {%- if narrowed %} and ({{ own_keys }}) in (select ({{ key_names }}) from {{ narrowed }}){% endif %}
),
synced as (
    select *{% if stale %} replace ({{ stale }} as _retl_untold){% endif %}
    from state.synced
    where {{ has_synced_key }}
    {%- if narrowed %} and ({{ key_names }}) in (select ({{ key_names }}) from {{ narrowed }}){% endif %}
),
compared as (
select
    case
        when synced._retl_key is null then 'added'
        when model.{{ keys[0].name }} is null then 'removed'
        {%- if mode.sends_all %}
        when not ({{ differs }}) then 'unchanged'
        {%- endif %}
        else 'changed'
    end as kind,
    {%- for key in keys %}
    coalesce(model.{{ key.name }}, synced.{{ key.name }}) as {{ key.name }},
    {%- endfor %}
    coalesce(synced._retl_key, {{ key_text }}) as key,
    -- A record that was made by its key in another spelling is found by that one.
    case when {{ is_old_spelling }} then synced._retl_key
        else coalesce(model._retl_external_id, synced._retl_key) end as external_id,
    synced._retl_id as destination_id,
    null::varchar as reason,
    null::varchar as message,
    case
        when synced._retl_key is not null and model.{{ keys[0].name }} is not null then
            list_filter([
                {%- for field in fields %}
                case when {{ changed(field) }} then {{ field.literal }} end
                {%- if not loop.last %},{% endif %}
                {%- endfor %}
            ], lambda name: name is not null)
    end as changed_fields,
    case when synced._retl_key is not null then {{ pack('synced') }} end as before,
    case when model.{{ keys[0].name }} is not null then {{ pack_after }} end as after,
    {{ sent_fields }} as sent_fields,
    {{ 'model._retl_row_time' if row_time else 'null::timestamp' }} as row_time
from model
{{ 'left' if prefilter else 'full outer' }} join synced
    on {% for key in keys %}model.{{ key.name }} = synced.{{ key.name }}{% if not loop.last %} and {% endif %}{% endfor %}
where
    synced._retl_key is null
    or model.{{ keys[0].name }} is null
    {%- if mode.sends_all %}
    or true
    {%- elif not mode.writes_once %}
    or {{ differs }}
    {%- endif %}
)
select
    *,
    case kind
        {%- for kind, operation in mode.by_kind.items() %}
        when '{{ kind }}' then '{{ operation }}'
        {%- endfor %}
    end as operation,
    null::varchar as sent,
    null::varchar[] as untold,
    kind <> 'removed' as stays_synced
from compared
