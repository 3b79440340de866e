-- Columns masked with hashes, in both versions.
-- option: column.mask.hash.SHA-256.with.salt.CzQMA0cB5K=public.t.a,public.t.n
-- option: column.mask.hash.v2.SHA-256.with.salt.CzQMA0cB5K=public.t.b
-- option: column.mask.hash.v2.MD5.with.salt.x=public.t.c
-- option: column.mask.hash.SHA-512.with.salt.y=public.t.d
-- setup
create table t (id int primary key, a text, b varchar(64), c varchar(10), d char(12), n int, e text);
-- stream
insert into t values (1, 'secret', 'secret', 'secret', 'secret', 5, 'open'), (2, null, null, null, null, null, null),
  (3, '', '', '', '', 0, ''), (4, 'äöü€😀', 'äöü€😀', 'äöü', 'x', 1, E'a\x01b');
update t set e = 'x' where id = 1;
