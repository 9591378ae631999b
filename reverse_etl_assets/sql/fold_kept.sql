-- Fields that the destination has won now, and our last write of each.
insert into state.kept
select $run_id, $now::timestamp, outbox.key, c.field, c.rule, c.base, c.ours, c.theirs
from conflicts as c
join answers on answers.number = c.number
join state.outbox as outbox on outbox.rowid = c.number
where c.winner = 'destination' and ({{ settled }})
