-- A column was nullable when a row was written and is NOT NULL when it is read (defect B3).
-- setup
create table t (id int primary key, a text, b int, c numeric(6,2));
-- stream
insert into t values (1, null, null, null);
update t set a = 'x', b = 1, c = 1.5;
alter table t alter a set not null, alter b set not null, alter c set not null, alter c set default 7;
insert into t values (2, 'y', 2, 2);
