-- Logical messages, inside and outside of transactions.
-- setup
create table t (id int primary key);
-- stream
select pg_logical_emit_message(false, 'early', 'before any transaction');
insert into t values (1);
select pg_logical_emit_message(true, 'outbox', 'alone');
begin;
insert into t values (2);
select pg_logical_emit_message(true, 'outbox', 'inside');
select pg_logical_emit_message(false, 'now', 'at once');
insert into t values (3);
commit;
begin;
select pg_logical_emit_message(true, 'outbox', 'rolled back');
select pg_logical_emit_message(false, 'now', 'stays');
rollback;
select pg_logical_emit_message(true, 'bytes', '\x00ff10'::bytea);
select pg_logical_emit_message(true, 'empty', '');
select pg_logical_emit_message(true, '', 'without a prefix');
insert into t values (4);
