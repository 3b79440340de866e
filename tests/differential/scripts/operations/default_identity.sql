-- Every operation on a table with a primary key and the default replica identity.
-- setup
create table public.orders (id int primary key, note text, price numeric(10,2) not null default 1.50, at timestamp);
-- stream
insert into orders values (1, 'one', 10.5, '2024-01-02 03:04:05.678'), (2, null, 3, null);
update orders set note = 'eins' where id = 1;
update orders set id = 3 where id = 2;
delete from orders where id = 1;
begin;
insert into orders values (4, 'vier', 4, null);
savepoint a;
insert into orders values (5, 'fünf "5" \ ', 5, null);
rollback to a;
insert into orders values (6, E'tab\tline\n', 6, null);
commit;
truncate orders;
