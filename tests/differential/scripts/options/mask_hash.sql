-- Columns masked with hashes, in both versions.
-- option: column.mask.hash.SHA-256.with.salt.CzQMA0cB5K=public.t.(a|n|f|g|h|i|j|k),public.k.*
-- option: column.mask.hash.v2.SHA-256.with.salt.CzQMA0cB5K=public.t.b
-- option: column.mask.hash.v2.MD5.with.salt.x=public.t.c
-- option: column.mask.hash.SHA-512.with.salt.y=public.t.d
-- setup
create table t (id int primary key, a text, b varchar(64), c varchar(10), d char(12), n int, e text, f text not null, g text not null default 'dflt', h json, i uuid, j "char", k name);
alter table t alter a set storage external;
create type col as enum ('red', 'green');
create domain dom as varchar(20);
create table k (id text primary key, e col, d dom);
-- stream
insert into t values (1, 'secret', 'secret', 'secret', 'secret', 5, 'open', 'f', 'g', '{}', '11111111-1111-1111-1111-111111111111', 'x', 'nm'), (2, null, null, null, null, null, null, '', '', null, null, null, null),
  (3, '', '', '', '', 0, '', 'f', 'g', null, null, '', ''), (4, 'äöü€😀', 'äöü€😀', 'äöü', 'x', 1, E'a\x01b', 'f', 'g', null, null, null, null);
update t set a = repeat('a', 3000) where id = 2;
update t set e = 'x' where id = 2;
delete from t where id = 1;
insert into k values ('key', 'red', 'domain'), ('other', null, null);
update k set id = 'new' where id = 'other';
