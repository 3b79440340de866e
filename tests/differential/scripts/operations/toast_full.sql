-- Unchanged TOAST values under FULL: the old row has them.
-- setup
create table t (id int primary key, n int, big text, by bytea, num numeric, ia int[]);
alter table t alter big set storage external, alter by set storage external, alter num set storage external, alter ia set storage external;
alter table t replica identity full;
-- stream
insert into t select 1, 1, repeat('b', 3000), decode(repeat('ab', 3000), 'hex'), (repeat('9', 6000))::numeric, array_agg(g) from generate_series(1, 1500) g;
update t set n = 2;
update t set id = 2, n = 3;
update t set big = null;
delete from t;
