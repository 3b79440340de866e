-- A table is dropped and created again with other columns.
-- setup
create table t (id int primary key, a text);
-- stream
insert into t values (1, 'a');
drop table t;
create table t (key text primary key, n numeric(4,1) not null);
insert into t values ('k', 1.5);
begin;
create table swap (id int primary key, a text, b text);
insert into swap values (1, 'x', 'y');
drop table t;
alter table swap rename to t;
commit;
insert into t values (2, 'z', null);
