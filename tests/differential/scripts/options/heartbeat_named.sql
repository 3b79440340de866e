-- Another name for the topic of heartbeats.
-- option: heartbeat.interval.ms=50
-- option: topic.heartbeat.name=srv.beats
-- setup
create table t (id int primary key);
-- stream
insert into t values (1);
