-- Columns get other types in mid-stream.
-- setup
create table t (id int primary key, a int, b varchar(10), n numeric(5,2));
-- stream
insert into t values (1, 1, 'x', 1.5);
alter table t alter a type bigint;
insert into t values (2, 3000000000, 'y', 2.5);
alter table t alter n type numeric(8,4), alter b type text;
insert into t values (3, 3, 'z', 3.5);
alter table t alter a type text;
insert into t values (4, 'four', 'z', 3.5);
alter table t alter id type bigint;
insert into t values (5000000000, 'five', 'z', 3.5);
