-- Rows of the model that cannot be told apart: no key, or a key that stands in several rows. Each is named.
insert into {{ outbox }} by name
select
    'rejected' as kind,
    {%- for key in keys %}
    {{ key.expression }} as {{ key.name }},
    {%- endfor %}
    {{ key_text_of_row }} as key,
    {{ external_id }} as external_id,
    'invalid' as reason,
    case
        when not ({{ has_key }}) then {{ no_key_message }}
        else duplicate_keys._retl_copies || {{ duplicate_message }}
    end as message,
    {{ pack_expressions }} as after
from {{ relation }}
left join duplicate_keys
    on {% for key in keys %}{{ key.expression }} = duplicate_keys.{{ key.name }}{% if not loop.last %} and {% endif %}{% endfor %}
where not ({{ has_key }}) or duplicate_keys._retl_copies is not null
