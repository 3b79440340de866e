-- Operations that are left out.
-- option: skipped.operations=c,d
-- setup
create table t (id int primary key, v text);
-- stream
insert into t values (1, 'a'), (2, 'b');
update t set v = 'c' where id = 1;
update t set id = 3 where id = 2;
delete from t where id = 1;
truncate t;
