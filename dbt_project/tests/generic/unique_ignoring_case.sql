{% test unique_ignoring_case(model, column_name) %}
select lower({{ column_name }}) as folded, count(*) as occurrences
from {{ model }}
where {{ column_name }} is not null
group by folded
having count(*) > 1
{% endtest %}
