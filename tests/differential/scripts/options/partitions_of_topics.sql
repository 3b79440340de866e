-- Topics of several partitions: Kafka's own partitioner over the bytes of keys.
-- partitions: 5
-- setup
create table t (id int primary key, v text);
create table k (a text, b int, primary key (a, b));
-- stream
insert into t select g, 'v' || g from generate_series(1, 40) g;
update t set v = 'w' where id % 3 = 0;
delete from t where id % 5 = 0;
insert into k select 'key ' || g, g from generate_series(1, 20) g;
