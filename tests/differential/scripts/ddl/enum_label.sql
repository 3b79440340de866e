-- An enum gets another label in mid-stream.
-- setup
create type mood as enum ('sad', 'ok');
create table t (id int primary key, m mood not null);
-- stream
insert into t values (1, 'ok');
alter type mood add value 'happy' after 'ok';
insert into t values (2, 'happy');
