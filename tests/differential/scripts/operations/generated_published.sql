-- Stored generated columns that the publication publishes, as 18 can.
-- publication: for all tables with (publish_generated_columns = stored)
-- setup
create table t (id int primary key, base int not null, doubled int generated always as (base * 2) stored, label text generated always as ('no ' || base::text) stored not null);
alter table t replica identity full;
-- stream
insert into t (id, base) values (1, 1), (2, 2);
update t set base = 3 where id = 1;
delete from t where id = 2;
