-- A sync's state. Its synced rows and its outbox have the model's types and are made where those are known.
create table if not exists state.facts (name varchar, value varchar);
create table if not exists state.pending (key varchar);
create table if not exists state.held (key varchar, run_id varchar, message varchar);
create table if not exists state.outcomes (
    run_id varchar, answered_at timestamp, key varchar, kind varchar, operation varchar,
    status varchar, reason varchar, code varchar, message varchar, field varchar,
    destination_id varchar, inferred boolean, changed_fields varchar[], fields varchar
);
