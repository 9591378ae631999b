{% test email_syntax(model, column_name) %}
select {{ column_name }}
from {{ model }}
where not regexp_full_match({{ column_name }}, '[^@\s]+@[^@\s]+\.[^@\s.]+')
{% endtest %}
