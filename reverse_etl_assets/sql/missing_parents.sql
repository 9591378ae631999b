-- Rows to be written that name a row of the parent which is not among its synced rows, or did not settle the last time:
-- it failed, is in quarantine, or waits itself. Rows to be deleted are not in the model any more, and wait for nothing.
create or replace temp table missing_parents as
with child as (
    select
        {%- for key in keys %}
        {{ key.expression }} as {{ key.name }},
        {%- endfor %}
        {%- for column in columns %}
        {{ column }} as _retl_p{{ loop.index0 }},
        {%- endfor %}
        {{ parent_key }} as _retl_parent_key
    from {{ relation }}
    where {{ has_key }} {%- for column in columns %} and {{ column }} is not null{% endfor %}
),
unsettled as (
    {%- if same_key %}
    select key
    from {{ state }}.outcomes as outcomes
    where key in (select key from {{ state }}.pending) and reason is distinct from 'superseded'
    group by key
    having not arg_max({{ settled }}, answered_at)
    {%- else %}
    select null::varchar as key where false
    {%- endif %}
)
select
    outbox.rowid as number,
    outbox.key,
    {{ parent }} as parent,
    child._retl_parent_key as parent_key,
    {%- if same_key %}
    case when synced._retl_key is null then {{ not_there }} else {{ not_settled }} end as message
    {%- else %}
    {{ not_there }} as message
    {%- endif %}
from child
join {{ outbox }} as outbox
    on {% for key in keys %}child.{{ key.name }} = outbox.{{ key.name }}{% if not loop.last %} and {% endif %}{% endfor %}
{%- if same_key %}
left join {{ state }}.synced as synced on {{ same_key }}
{%- endif %}
where
    outbox.operation is not null
    {%- if same_key %}
    and (synced._retl_key is null or synced._retl_key in (select key from unsettled))
    {%- endif %}
