-- The change set of an undo: what the run wrote, with what was there before. Rows that somebody else has written since,
-- and rows of which nobody knows what was there, have no operation and say why. Rows whose answer was lost are among
-- them: if the run did not write them after all, their records hold already what is put back.
create or replace table {{ outbox }} as
with written as (
    select
        outcome.key, outcome.kind as was, coalesce(outcome.destination_id, arrived._retl_id) as destination_id,
        outcome.answered_at,
        outcome.fields as doubted, -- what was sent, where that is not known to have arrived
        outcome.status = 'failed' and arrived._retl_key is null as in_doubt,
        arrived._retl_key is not null as has_arrived,
        case
            when arrived._retl_key is not null and held.status is null and outcome.destination_id is null
                and outcome.operation in ('insert', 'upsert') then 'created'
            when outcome.status = 'failed' then held.status
            -- another row of the run has made the record
            when held.before is null and outcome.status = 'updated' and outcome.destination_id in (
                select destination_id from state.outcomes where run_id = $run and status = 'created'
            ) then 'created'
            else outcome.status
        end as status,
        held.before as image,
        held.source,
        held.external_id as image_external_id,
        held.fields as image_fields,
        coalesce(held.fields, json_keys(held.before)) as fields
    from state.outcomes as outcome
    left join state.images as held on held.run_id = $run and held.key = outcome.key
    -- a person has said since that it did arrive
    left join state.synced as arrived
        on outcome.status = 'failed' and arrived._retl_key = outcome.key and arrived._retl_run = $run
    where
        outcome.run_id = $run
        and (outcome.status in ('created', 'updated', 'deleted') or outcome.reason in ({{ in_doubt_reasons }}))
),
unpacked as (
    select *, {{ unpacked }} from written
),
later as (
    select later.key, arg_max(later.run_id, later.answered_at) as run_id
    from state.outcomes as later
    join written using (key)
    where later.run_id <> $run and later.answered_at >= written.answered_at and ({{ settled }})
    group by later.key
),
found as (
    select
        unpacked.*,
        {{ pack_synced }} as acknowledged,
        case when in_doubt then {{ pack_doubted }} else {{ pack_synced }} end as left_there,
        case when in_doubt then doubted is not null else synced._retl_key is not null end as is_left,
        synced._retl_untold,
        {%- for key in keys %}
        coalesce(synced.{{ key.name }}, try_cast({{ key_values[loop.index0] }} as {{ key.sql_type }})) as {{ key.name }},
        {%- endfor %}
        case
            when in_doubt then later.run_id is not null
            when status = 'deleted' then synced._retl_key is not null
            else synced._retl_run is distinct from $run
        end as is_newer,
        destination_id in (select _retl_id from state.synced as other where other._retl_key <> unpacked.key) as is_shared,
        coalesce(synced._retl_run, later.run_id) as newer_run
    from unpacked
    left join state.synced as synced on synced._retl_key = unpacked.key
    left join later on later.key = unpacked.key
),
judged as (
    select
        *,
        list_filter(fields, lambda name: name not in ({{ mapped }})) as unmapped,
        case
            when list_contains($undos::varchar[], newer_run) then 'same'
            when is_newer then 'edited'
            when {{ no_key }} or status is null then 'invalid'
            when status <> 'created' and image is null then 'invalid'
            when len(unmapped) > 0 then 'invalid'
            when status = 'updated' and source = 'synced' and not in_doubt and image = ({{ json_left }})::varchar
                then 'same'
        end as reason
    from found
)
select
    case
        when reason = 'invalid' then 'rejected'
        when status = 'updated' then 'changed'
        when status = 'created' then 'removed'
        else 'added'
    end as kind,
    {%- for key in keys %}
    {{ key.name }},
    {%- endfor %}
    key,
    coalesce(case when lower({{ external_id }}) = lower(key) then {{ external_id }} end, image_external_id, key)
        as external_id,
    case when status <> 'deleted' or {{ restores }} then destination_id end as destination_id,
    reason,
    case
        when reason is null then null
        when is_newer and reason = 'same' then 'it was put back already, by run ' || newer_run
        when is_newer
            then coalesce('run ' || newer_run || ' has written it since', 'it is not among the synced rows any more')
        when reason = 'same' then 'the run wrote the values that were there'
        when {{ no_key }} then 'the columns of its key cannot be told from its key'
        when status is null then {{ no_answer_message }}
        when image is null and is_shared then {{ shared_message }}
        when image is null then {{ no_image_message }}
        else 'no longer mapped, so not to be put back: ' || list_aggregate(unmapped, 'string_agg', ', ')
    end as message,
    case when status = 'updated' then list_filter([{{ mapped }}], lambda name: list_contains(fields, name)) end
        as changed_fields,
    case when is_left then left_there end as before,
    case when image is not null then {
        {%- for field in fields %}
        {{ field.literal }}: case
            when list_contains(fields, {{ field.literal }}) then {{ field.value }}
            else acknowledged.{{ field.name }}
        end{% if not loop.last %},{% endif %}
        {%- endfor %}
    } end as after,
    image_fields as sent_fields,
    null::timestamp as row_time,
    case
        when reason is not null then null
        {%- for status, operation in operations.items() %}
        when status = '{{ status }}' then '{{ operation }}'
        {%- endfor %}
    end as operation,
    image as sent,
    nullif(list_distinct(list_concat(
        _retl_untold,
        list_filter([
            {%- for field in fields %}
            case
                when (status = 'deleted' or list_contains(fields, {{ field.literal }})) and not {{ field.exact }}
                then {{ field.literal }}
            end{% if not loop.last %},{% endif %}
            {%- endfor %}
        ], lambda name: name is not null)
    )), []) as untold,
    status = 'deleted' or (status = 'updated' and was <> 'added') as stays_synced,
    source,
    in_doubt,
    has_arrived
from judged
