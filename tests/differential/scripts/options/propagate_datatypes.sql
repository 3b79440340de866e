-- The same by type.
-- option: datatype.propagate.source.type=.+\.numeric,.+\.VARCHAR,.+\._int4
-- setup
create table t (id int primary key, a varchar(10), n numeric(8,3), m numeric, v text, ia int[]);
-- stream
insert into t (id, a) values (1, 'x');
