-- Before-images of the rows that were overwritten or deleted, or may have been: as read just before, else as last
-- acknowledged. A row that may have been made has one without values, if it is known that there was no record.
insert into state.images
with sent as (
    select
        outbox.*, answers.destination_id as answered_id, answers.status, notes.sent as noted, notes.read as was_read,
        case
            when notes.read then notes.before
            -- its record is gone, and the row went out for a new one
            when not (coalesce(answers.anew, false) and outbox.destination_id is not null) then {{ before_json }}
        end as image,
        coalesce(answers.reason in ({{ in_doubt_reasons }}), false) as in_doubt,
        coalesce(answers.anew, false) as anew
    from state.outbox as outbox
    join answers on answers.number = outbox.rowid
    left join notes on notes.number = outbox.rowid
)
select
    $run_id, key, external_id, coalesce(answered_id, case when not anew then destination_id end),
    case when not in_doubt then status when operation = 'delete' then 'deleted' when image is null then 'created'
    else 'updated' end,
    coalesce(noted, sent_fields),
    image,
    case when was_read then 'destination' else 'synced' end
from sent
where
    ((status in ('updated', 'deleted') or in_doubt) and image is not null)
    or (in_doubt and was_read and operation <> 'delete')
