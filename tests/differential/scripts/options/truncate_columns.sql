-- Columns cut to a length.
-- option: column.truncate.to.3.chars=public.t.(a|b|n|j)
-- option: column.truncate.to.20.chars=public.t.c
-- setup
create table t (id int primary key, a text, b varchar(10), c varchar(10), n int, j jsonb, d char(6));
-- stream
insert into t values (1, 'abcdef', 'abcdef', 'abcdef', 12345, '{"a": 1}', 'abc'), (2, 'ab', null, '', null, null, null), (3, 'ä€😀x', '', 'x', 1, '1', '');
update t set a = 'ghijkl' where id = 2;
