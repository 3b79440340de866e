-- A changed key is a delete, a tombstone and a create; a key set to what it was is an update.
-- setup
create table t (id int primary key, n int not null, s text not null, v text, w boolean not null default true);
-- stream
insert into t values (1, 1, 's', 'v');
update t set id = 2;
update t set id = 2, v = 'w';
update t set id = id + 1, v = null;
begin;
update t set id = 7;
update t set id = 8;
update t set id = 7;
commit;
insert into t select g, g, 's' || g, null from generate_series(20, 23) g;
update t set id = id + 100 where id >= 20;
