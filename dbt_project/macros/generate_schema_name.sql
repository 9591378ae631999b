{#- The schema as configured ("marts"), where dbt's own macro would put the target's before it ("main_marts"). -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
