-- Values and transactions that are larger than usual.
-- setup
create table t (id int primary key, v text);
-- stream
insert into t select g, repeat(chr(64 + g % 26), g * 500) from generate_series(1, 60) g;
update t set v = left(v, 5) where id % 2 = 0;
delete from t where id > 50;
