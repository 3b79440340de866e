-- Columns cut to a length.
-- option: column.truncate.to.3.chars=public.t.(a|b|n|j|e|bg|m|nn)
-- option: column.truncate.to.20.chars=public.t.c
-- setup
create table t (id int primary key, a text, b varchar(10), c varchar(10), n int, j jsonb, d char(6), e json, bg text not null default 'default', m numeric, nn text not null);
alter table t alter bg set storage external;
-- stream
insert into t values (1, 'abcdef', 'abcdef', 'abcdef', 12345, '{"a": 1}', 'abc', '"abc"', repeat('b', 3000), 1234.5, 'nnnn'),
  (2, 'ab', null, '', null, null, null, null, 'abcd', null, ''), (3, 'ä€😀x', '', 'x', 1, '1', '', null, 'ab😀', 1, 'n');
update t set c = 'c' where id = 1;
update t set a = 'ghijkl' where id = 2;
delete from t where id = 2;
