-- Truncate events, one for each table, without a key.
-- option: skipped.operations=none
-- setup
create table parent (id int primary key);
create table child (id int primary key, parent int references parent);
create table other (a int);
-- stream
insert into parent values (1);
insert into child values (1, 1);
truncate parent cascade;
insert into other values (1);
truncate other restart identity;
begin;
insert into parent values (2);
truncate child, parent;
insert into parent values (3);
commit;
