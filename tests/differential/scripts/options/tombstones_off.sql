-- No tombstones.
-- option: tombstones.on.delete=false
-- setup
create table t (id int primary key, v text);
-- stream
insert into t values (1, 'a');
update t set id = 2;
delete from t;
