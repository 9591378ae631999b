-- Rows that stay where a row has left their record, and that this run has not written: all their fields are sent anew.
update state.synced as synced
set
    _retl_untold = {{ all_fields }}
    {%- if separator %},
    _retl_id = synced._retl_id || coalesce({{ separator }} || heirs.inherited, '')
    {%- endif %}
from (
    select key, string_agg(distinct ids, {{ separator or "''" }}) as inherited
    from (
        select stays.key, gone.ids
        from (select _retl_key as key, unnest({{ ids('_retl_id') }}) as id from state.synced) as stays
        join (
            select ids, unnest({{ ids('ids') }}) as id
            from (
                select unnest([answers.destination_id, outbox.destination_id]) as ids
                from answers
                join state.outbox as outbox on outbox.rowid = answers.number
                where answers.reason = 'shared'
            )
        ) as gone using (id)
        union all
        select _retl_key, null from state.synced where list_contains($keys, lower(_retl_key))
    )
    group by key
) as heirs
where heirs.key = synced._retl_key and synced._retl_run is distinct from $run_id
returning synced._retl_key
