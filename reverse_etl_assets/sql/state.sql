-- A sync's state. Its synced rows and its outbox have the model's types and are made where those are known.
create table if not exists state.facts (name varchar, value varchar);
create table if not exists state.pending (key varchar);
-- Rows whose last send is in doubt and must not be repeated, with the fields that were sent, as JSON.
create table if not exists state.held (key varchar, run_id varchar, message varchar, fields varchar);
create table if not exists state.outcomes (
    run_id varchar, answered_at timestamp, key varchar, kind varchar, operation varchar,
    status varchar, reason varchar, code varchar, message varchar, field varchar,
    destination_id varchar, inferred boolean, changed_fields varchar[], fields varchar
);
-- Rows that share a record with another row, by each id of it that they have in common.
create table if not exists state.shared (id varchar, key varchar);
-- What a run overwrote or deleted, as JSON: in the fields it wrote (null: in all of them).
create table if not exists state.images (
    run_id varchar, key varchar, external_id varchar, destination_id varchar, status varchar,
    fields varchar[], before varchar, source varchar
);
-- Where a field rule met a record that disagreed: what lost, and why.
create table if not exists state.conflicts (
    run_id varchar, noted_at timestamp, key varchar, field varchar, rule varchar,
    base varchar, ours varchar, theirs varchar, winner varchar, why varchar
);
-- The conflicts that the destination won and that nothing has been written over since.
create table if not exists state.kept (
    run_id varchar, noted_at timestamp, key varchar, field varchar, rule varchar,
    base varchar, ours varchar, theirs varchar
);
-- The versions that were begun, each with the definition that its rows were sent by. Of a version that is left all rows
-- stay, in synced_v1 and so on; set_aside counts those that the next one does not follow.
create table if not exists state.versions (
    version integer, began_at timestamp, run_id varchar, cutover varchar, sent_before varchar,
    definition varchar, set_aside bigint, adopted bigint
);
-- Rows that the destination refused, how often with the values of digest, and when that was last counted: a refusal that
-- follows soon is not. Freed: a person lets it be sent once more.
create table if not exists state.refusals (
    key varchar, digest varchar, times integer, first_at timestamp, last_at timestamp,
    run_id varchar, code varchar, message varchar, field varchar, freed boolean,
    counted_at timestamp
);
