-- Messages by prefix.
-- option: message.prefix.include.list=out.*,app
-- option: binary.handling.mode=hex
-- setup
create table t (id int primary key);
-- stream
select pg_logical_emit_message(true, 'outbox', '\x00ff10'::bytea);
select pg_logical_emit_message(true, 'APP', 'upper case');
select pg_logical_emit_message(true, 'other', 'left out');
select pg_logical_emit_message(false, 'app', 'content');
