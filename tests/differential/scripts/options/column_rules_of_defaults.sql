-- Rules and columns that a delete does not carry: NOT NULL with and without defaults.
-- option: column.mask.hash.v2.SHA-256.with.salt.s=public.t.(a|b)
-- option: column.truncate.to.2.chars=public.t.(c|d)
-- option: column.mask.with.4.chars=public.t.(e|f)
-- setup
create table t (id int primary key, a text not null, b text not null default 'bbbb', c text not null, d text not null default 'dddd', e text not null, f text not null default 'ffff', g text default 'gggg');
alter table t alter a set storage external, alter c set storage external, alter e set storage external;
-- stream
insert into t values (1, repeat('a', 3000), 'b', repeat('c', 3000), 'd', repeat('e', 3000), 'f', null);
update t set b = 'x';
delete from t;
