-- Keys that the model holds more than once, each with the greatest value of the column that decides between its rows.
create or replace temp table latest_of_keys as
select
    {%- for key in keys %}
    {{ key.expression }} as {{ key.name }},
    {%- endfor %}
    max({{ latest_by }}) as _retl_latest
from {{ relation }}
where {{ has_key }}
group by all
having count(*) > 1
