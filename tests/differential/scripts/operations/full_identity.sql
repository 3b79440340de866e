-- REPLICA IDENTITY FULL: `before` is the whole old row, also for deletes and for changes of the key.
-- setup
create table people (id int primary key, name text, age int not null, born date);
alter table people replica identity full;
-- stream
insert into people values (1, 'Ada', 36, '1815-12-10'), (2, null, 0, null);
update people set age = 37 where id = 1;
update people set name = null where id = 1;
update people set age = age where id = 2;
update people set id = 10 where id = 1;
delete from people where id = 10;
delete from people;
