-- The replica identity changes in mid-stream.
-- setup
create table t (id int primary key, u text not null unique, v text);
-- stream
insert into t values (1, 'u1', 'a'), (2, 'u2', 'b'), (3, 'u3', 'c');
update t set v = 'x' where id = 1;
alter table t replica identity full;
update t set v = 'y' where id = 1;
delete from t where id = 2;
alter table t replica identity default;
update t set v = 'z' where id = 1;
delete from t where id = 1;
