-- Field names that Avro refuses, adjusted in messages and transactions too.
-- option: field.name.adjustment.mode=avro
-- option: schema.name.adjustment.mode=avro
-- option: provide.transaction.metadata=true
-- setup
create table "a-b" ("x-y" int primary key);
-- stream
insert into "a-b" values (1);
select pg_logical_emit_message(true, 'p-q', 'content');
