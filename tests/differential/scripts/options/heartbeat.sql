-- Heartbeats have a topic, a key and partition 0.
-- option: heartbeat.interval.ms=50
-- setup
create table t (id int primary key);
-- stream
insert into t values (1);
