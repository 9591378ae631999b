-- The conflict log: what lost, and why.
insert into state.conflicts
select $run_id, $now::timestamp, outbox.key, c.field, c.rule, c.base, c.ours, c.theirs, c.winner, c.why
from conflicts as c
join answers on answers.number = c.number
join state.outbox as outbox on outbox.rowid = c.number
