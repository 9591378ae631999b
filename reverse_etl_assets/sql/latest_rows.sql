-- The model without its superseded rows. Rows that share the greatest value stay, to be rejected as duplicates; NULL is
-- the least of all.
create or replace temp view latest_rows as
select model.*
from {{ relation }} as model
left join latest_of_keys
    on {% for key in keys %}{{ key.expression }} = latest_of_keys.{{ key.name }}{% if not loop.last %} and {% endif %}{% endfor %}
where latest_of_keys.{{ keys[0].name }} is null or model.{{ latest_by }} is not distinct from latest_of_keys._retl_latest
