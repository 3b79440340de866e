-- What has no log, and empty transactions, leave no trace.
-- setup
create table t (id int primary key, v text);
create unlogged table u (id int primary key);
create view v as select * from t;
create materialized view m as select * from t;
-- stream
insert into u values (1);
create temp table tmp (id int primary key);
insert into tmp values (1);
begin;
commit;
update t set v = 'nobody' where false;
insert into v values (1, 'through the view');
refresh materialized view m;
delete from u;
select pg_notify('channel', 'payload');
