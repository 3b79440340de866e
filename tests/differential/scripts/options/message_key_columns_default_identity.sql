-- A key by option whose columns the replica identity does not carry.
-- option: message.key.columns=public.t:code
-- setup
create table t (id int primary key, code text not null, v text);
-- stream
insert into t values (1, 'a', 'x'), (2, 'b', 'y');
update t set v = 'z' where id = 1;
update t set code = 'c' where id = 1;
update t set id = 3 where id = 1;
delete from t where id = 2;
