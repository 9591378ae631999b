-- Superseded rows of the keys in this change set. Those of other keys stand in the model run after run, and are counted.
insert into {{ outbox }} by name
select
    'superseded' as kind,
    {%- for key in keys %}
    {{ key.expression }} as {{ key.name }},
    {%- endfor %}
    {{ key_text_of_row }} as key,
    {{ external_id }} as external_id,
    'superseded' as reason,
    {{ superseded_message }} as message,
    {{ pack_expressions }} as after
from {{ relation }} as model
join latest_of_keys
    on {% for key in keys %}{{ key.expression }} = latest_of_keys.{{ key.name }}{% if not loop.last %} and {% endif %}{% endfor %}
where
    model.{{ latest_by }} is distinct from latest_of_keys._retl_latest
    and ({{ own_keys }}) in (select ({{ key_names }}) from {{ outbox }})
