-- The same operations on the oldest server that is supported, generated columns and FULL included.
-- postgres: 15
-- setup
create table t (id serial primary key, base int not null default 5, doubled int generated always as (base * 2) stored, note text);
alter table t replica identity full;
-- stream
insert into t (note) values ('a'), (null);
update t set base = 3 where id = 1;
update t set id = 9 where id = 2;
delete from t;
select pg_logical_emit_message(true, 'p', 'content');
