-- Columns that are left out; a key column stays in the key.
-- option: column.exclude.list=public.t.secret,public.t.id,public.other.*,.*\.hidden
-- setup
create table t (id int primary key, v text, secret text not null, hidden int);
create table other (id int primary key, v text);
alter table t replica identity full;
-- stream
insert into t values (1, 'a', 's', 1);
update t set secret = 'changed';
update t set v = 'b';
update t set id = 2;
delete from t;
insert into other values (1, 'x');
delete from other;
