-- REPLICA IDENTITY USING INDEX on the primary key's own index, and on the unique index of a table without one.
-- setup
create table a (id int primary key, v text);
alter table a replica identity using index a_pkey;
create table b (u text not null unique, v text);
alter table b replica identity using index b_u_key;
-- stream
insert into a values (1, 'x'), (2, 'y');
update a set v = 'z' where id = 1;
update a set id = 3 where id = 2;
delete from a where id = 1;
insert into b values ('k', 'x'), ('l', 'y');
update b set v = 'z' where u = 'k';
update b set u = 'm' where u = 'l';
delete from b where u = 'k';
