-- A column is added in mid-stream.
-- setup
create table t (id int primary key, a text);
-- stream
insert into t values (1, 'a');
alter table t add column b int;
insert into t values (2, 'b', 2);
update t set a = 'c' where id = 1;
alter table t add column c text not null default 'd';
update t set b = 9 where id = 1;
delete from t where id = 2;
