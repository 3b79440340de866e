-- Without updates, a change of the key is still a delete and a create.
-- option: skipped.operations=u,t
-- setup
create table t (id int primary key, v text);
-- stream
insert into t values (1, 'a'), (2, 'b');
update t set v = 'c' where id = 1;
update t set id = 3 where id = 2;
delete from t where id = 1;
