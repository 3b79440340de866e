-- Tables by lists, without regard to case.
-- option: table.include.list=public.A.*,public\.b
-- setup
create table a1 (id int primary key);
create table "A2" (id int primary key);
create table b (id int primary key);
create table bb (id int primary key);
-- stream
insert into a1 values (1);
insert into "A2" values (1);
insert into b values (1);
insert into bb values (1);
