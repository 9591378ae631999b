-- The rows of the model that a destination is asked for, one for each key that the model holds once.
create or replace table state.adopting as
select *
from (
    select
        {%- for key in keys %}
        {{ key.expression }} as {{ key.name }},
        {%- endfor %}
        {{ key_text }} as key,
        {{ external_id }} as external_id,
        {{ pack }} as after
    from {{ relation }}
    where {{ has_key }}
    qualify count(*) over (partition by {{ own_keys }}) = 1
)
where {{ sendable }}
