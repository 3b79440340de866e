-- The primary key changes in mid-stream.
-- setup
create table t (id int primary key, code text not null, v text);
-- stream
insert into t values (1, 'a', 'x'), (2, 'b', 'y');
alter table t drop constraint t_pkey;
insert into t values (3, 'c', 'z');
alter table t add primary key (code);
insert into t values (4, 'd', 'z');
update t set v = 'w' where code = 'a';
delete from t where code = 'b';
