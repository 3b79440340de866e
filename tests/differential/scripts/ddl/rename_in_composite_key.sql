-- A column of a composite key is renamed in mid-stream.
-- setup
create table t (a int, b text, v text, primary key (a, b));
-- stream
insert into t values (1, 'x', 'v');
alter table t rename column b to c;
insert into t values (2, 'y', 'w');
delete from t where a = 1;
