-- No context headers; a changed key still says where it went.
-- option: extended.headers.enabled=false
-- setup
create table t (id int primary key, v text);
-- stream
insert into t values (1, 'a');
update t set id = 2;
delete from t;
