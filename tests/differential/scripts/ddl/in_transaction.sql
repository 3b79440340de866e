-- DDL in the middle of a transaction: each record has the schema that it was written with.
-- setup
create table t (id int primary key, a text);
-- stream
begin;
insert into t values (1, 'a');
alter table t add column b int;
insert into t values (2, 'b', 2);
alter table t rename column a to c;
insert into t values (3, 'c', 3);
alter table t drop column b;
insert into t values (4, 'd');
create table inside (id int primary key, v text);
insert into inside values (1, 'new');
alter table t alter c type varchar(20);
update t set c = 'e' where id = 1;
commit;
begin;
alter table t add column gone int;
insert into t values (5, 'f', 1);
rollback;
insert into t values (6, 'g');
