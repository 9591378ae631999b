-- Keys that the model holds more than once, looked for no wider than they can be.
create or replace temp table duplicate_keys as
select {{ key_names }}, count(*) as _retl_copies
from (
    {%- if scope in ('added', 'none') %}
    select {{ key_names }} from {{ outbox }} where {{ "kind = 'added'" if scope == 'added' else 'false' }}
    {%- else %}
    select {% for key in keys %}{{ key.expression }} as {{ key.name }}{% if not loop.last %}, {% endif %}{% endfor %}
    from {{ relation }}
    where {{ has_key }}
    {%- endif %}
)
{%- if scope == 'changes' %}
semi join {{ outbox }} as outbox using ({{ key_names }})
{%- endif %}
group by all
having count(*) > 1
