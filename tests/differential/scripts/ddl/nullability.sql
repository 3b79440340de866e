-- NOT NULL and defaults change in mid-stream.
-- setup
create table t (id int primary key, a text, b int not null, c int default 1);
-- stream
insert into t values (1, 'a', 1);
alter table t alter a set not null;
insert into t values (2, 'b', 2);
alter table t alter b drop not null;
insert into t values (3, 'c', null, 3);
alter table t alter c set default 2, alter a set default 'dflt';
insert into t (id) values (4);
