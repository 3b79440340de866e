-- Columns are renamed in mid-stream, one of the key too.
-- setup
create table t (id int primary key, a text not null);
-- stream
insert into t values (1, 'a');
alter table t rename column a to b;
insert into t values (2, 'b');
alter table t rename column id to key;
insert into t values (3, 'c');
update t set b = 'd' where key = 1;
delete from t where key = 2;
