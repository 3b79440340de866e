-- schema.refresh.mode=columns_diff_exclude_unchanged_toast: with pgoutput the schema comes from the stream, also where a TOAST value was not sent.
-- option: schema.refresh.mode=columns_diff_exclude_unchanged_toast
-- setup
create table t (id int primary key, n int, doc text);
alter table t alter doc set storage external;
-- stream
insert into t values (1, 1, repeat('x', 9000));
update t set n = 2;
alter table t add extra varchar(20) default 'e';
update t set n = 3;
alter table t alter n type bigint;
update t set n = 4;
alter table t drop doc;
update t set n = 5;
alter table t add doc bytea;
insert into t (id, doc) values (2, '\x0102');
delete from t where id = 1;
