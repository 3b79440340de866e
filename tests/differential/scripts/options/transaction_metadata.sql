-- The transaction block of each record, and the topic of boundaries.
-- option: provide.transaction.metadata=true
-- option: skipped.operations=none
-- setup
create table a (id int primary key, v text);
create table b (id int primary key, v text);
create table ignored (id int primary key);
-- stream
insert into a values (1, 'x');
begin;
insert into a values (2, 'y');
insert into b values (1, 'z');
update a set id = 3 where id = 2;
delete from b;
insert into a values (4, 'w');
commit;
begin;
savepoint s;
insert into a values (5, 'lost');
rollback to s;
insert into b values (2, 'kept');
truncate a;
commit;
begin;
create table only_ddl (id int);
commit;
