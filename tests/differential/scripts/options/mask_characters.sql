-- Columns masked with asterisks, null too (defect M2).
-- option: column.mask.with.5.chars=public.t.(v|c|n),public.k.id2
-- option: column.mask.with.0.chars=public.t.w
-- setup
create table t (id int primary key, v varchar(20), c char(8), n int, w text not null default 'dflt', free text);
create table k (id2 text primary key, v text);
-- stream
insert into t values (1, 'secret', 'abc', 7, 'hidden', 'open'), (2, null, null, null, 'x', null);
update t set free = 'changed';
delete from t where id = 1;
insert into k values ('key', 'v');
