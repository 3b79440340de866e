-- Unchanged TOAST values under the default identity: the placeholder, by type.
-- setup
create table t (id int primary key, n int, big text, js jsonb, by bytea, vc varchar(9000), ta text[], xs json);
alter table t alter big set storage external, alter js set storage external, alter by set storage external,
  alter vc set storage external, alter ta set storage external, alter xs set storage external;
-- stream
insert into t select 1, 1, repeat('b', 3000), jsonb_build_object('a', repeat('j', 3000)), decode(repeat('ab', 3000), 'hex'),
  repeat('v', 3000), array[repeat('x', 3000), 'y'], ('"' || repeat('q', 3000) || '"')::json;
update t set n = 2;
update t set big = 'small';
update t set n = 3, js = null;
update t set id = 2;
delete from t;
