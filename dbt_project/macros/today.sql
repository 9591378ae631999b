{% macro today() -%}
    cast('{{ var("today") }}' as date)
{%- endmacro %}
