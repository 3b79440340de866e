-- Open transactions beside each other: the log is in the order of commits.
-- setup
create table t (id int primary key, v text);
-- stream
begin;
insert into t values (1, 'main, first');
-- session b
begin;
insert into t values (2, 'b, first');
-- session main
insert into t values (3, 'main, second');
-- session c
insert into t values (4, 'c, alone');
-- session b
insert into t values (5, 'b, second');
commit;
-- session main
update t set v = 'main, third' where id = 1;
commit;
