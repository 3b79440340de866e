-- Arrays with a null whose elements Debezium's schema requires: the whole value becomes null.
-- setup
create type mood as enum ('sad', 'so, so', 'happy');
create table t (id int primary key, moods mood[], vectors tsvector[], after text);
-- stream
insert into t values (1, '{happy,"so, so"}', array['a:1A', 'b']::tsvector[], 'a');
insert into t values (2, '{happy,NULL}', '{}', 'b');
insert into t values (3, '{}', array['a', null]::tsvector[], 'c');
update t set moods = '{NULL}' where id = 1;
