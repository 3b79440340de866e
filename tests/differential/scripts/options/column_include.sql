-- Only some columns.
-- option: column.include.list=public.t.(id|v),public.other.id
-- setup
create table t (id int primary key, v text, secret text not null);
create table other (id int primary key, v text);
-- stream
insert into t values (1, 'a', 's');
update t set v = 'b';
delete from t;
insert into other values (1, 'x');
