-- A placeholder given as bytes.
-- option: unavailable.value.placeholder=hex:DEADBEEF
-- setup
create table t (id int primary key, n int, big text, by bytea);
alter table t alter big set storage external, alter by set storage external;
-- stream
insert into t values (1, 1, repeat('b', 3000), decode(repeat('ab', 3000), 'hex'));
update t set n = 2;
