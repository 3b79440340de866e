-- Tables and schemas that are left out.
-- option: table.exclude.list=public.(x|y)
-- setup
create table x (id int primary key);
create table z (id int primary key);
-- stream
insert into x values (1);
insert into z values (1);
