-- A column is dropped in mid-stream.
-- setup
create table t (id int primary key, a text not null, b int, c text);
-- stream
insert into t values (1, 'a', 1, 'c');
alter table t drop column b;
insert into t values (2, 'a', 'c');
update t set c = 'd' where id = 1;
delete from t where id = 1;
