-- Logical messages in the transaction block and the boundaries (defect X1).
-- option: provide.transaction.metadata=true
-- setup
create table a (id int primary key, v text);
-- stream
begin;
insert into a values (1, 'x');
select pg_logical_emit_message(true, 'p', 'inside');
insert into a values (2, 'y');
commit;
select pg_logical_emit_message(false, 'p', 'outside');
select pg_logical_emit_message(true, 'p', 'alone');
