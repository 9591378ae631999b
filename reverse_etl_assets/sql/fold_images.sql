-- Before-images of the rows that were overwritten or deleted: as read just before, else as last acknowledged.
insert into state.images
select
    $run_id, outbox.key, outbox.external_id, coalesce(answers.destination_id, outbox.destination_id), answers.status,
    coalesce(notes.sent, outbox.sent_fields),
    case when notes.read then notes.before else {{ before_json }} end,
    case when notes.read then 'destination' else 'synced' end
from state.outbox as outbox
join answers on answers.number = outbox.rowid
left join notes on notes.number = outbox.rowid
where
    answers.status in ('updated', 'deleted')
    and case when notes.read then notes.before is not null else outbox.before is not null end
