-- Keys of rows that may differ, found without holding the rows' values in memory: a key on one side only, or a hash of
-- all values that disagrees. Both hashes are made here and now and stored nowhere; the values decide in change_set.sql.
create or replace temp table candidates as
with model as (
    select
        {%- for key in keys %}
        {{ key.expression }} as {{ key.name }},
        {%- endfor %}
        hash({% for field in fields %}{{ field.expression }}{% if not loop.last %}, {% endif %}{% endfor %}) as digest
    from {{ relation }}
    where {{ has_key }}
),
synced as (
    select
        {{ key_names }},
        case
            when _retl_untold is null
            then hash({% for field in fields %}{{ field.name }}{% if not loop.last %}, {% endif %}{% endfor %})
        end as digest
    from state.synced
    where {{ has_synced_key }}
)
select
    {%- for key in keys %}
    coalesce(model.{{ key.name }}, synced.{{ key.name }}) as {{ key.name }}{% if not loop.last %},{% endif %}
    {%- endfor %}
from model
full outer join synced
    on {% for key in keys %}model.{{ key.name }} = synced.{{ key.name }}{% if not loop.last %} and {% endif %}{% endfor %}
where
    synced.{{ keys[0].name }} is null
    or model.{{ keys[0].name }} is null
    {%- if not mode.writes_once %}
    or model.digest is distinct from synced.digest
    {%- endif %}
