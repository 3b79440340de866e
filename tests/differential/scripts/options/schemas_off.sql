-- JSON without schemas.
-- option: key.converter.schemas.enable=false
-- option: value.converter.schemas.enable=false
-- setup
create table t (id int primary key, v text, n numeric(10,2), d date, ts timestamptz);
-- stream
insert into t values (1, 'a', 1.5, '2024-02-29', '2024-02-29 12:00:00.5+02'), (2, null, null, null, null);
update t set v = 'b' where id = 1;
update t set id = 3 where id = 2;
delete from t where id = 1;
select pg_logical_emit_message(true, 'p', 'content');
