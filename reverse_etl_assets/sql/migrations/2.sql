-- Rows that are looked at before they are written: what was sent of them, and which fields were not told.
alter table state.synced add column if not exists _retl_untold varchar[];
alter table state.outbox add column if not exists sent_fields varchar[];
alter table state.outbox add column if not exists row_time timestamp;
alter table state.outbox add column if not exists sent varchar;
alter table state.outbox add column if not exists untold varchar[];
alter table state.outbox add column if not exists stays_synced boolean;
update state.outbox set stays_synced = kind <> 'removed' where stays_synced is null;
