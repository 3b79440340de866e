-- Two columns swap their names, and two tables swap theirs.
-- setup
create table x (id int primary key, a text, b text);
create table y (id int primary key, n int);
-- stream
insert into x values (1, 'a', 'b');
begin;
alter table x rename a to tmp;
alter table x rename b to a;
alter table x rename tmp to b;
commit;
insert into x values (2, 'c', 'd');
begin;
alter table x rename to tmp;
alter table y rename to x;
alter table tmp rename to y;
commit;
insert into x values (1, 5);
insert into y values (3, 'e', 'f');
