-- Held rows with what was sent, refusals that are counted once an hour, versions by the last run that sent. Where and by
-- what key a sync writes is said by its versions.
alter table state.held add column if not exists fields varchar;
alter table state.refusals add column if not exists counted_at timestamp;
delete from state.facts where name in ('destination', 'object', 'primary_key', 'external_id');
