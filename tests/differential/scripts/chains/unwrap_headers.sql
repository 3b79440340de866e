-- Facts in headers, with the tombstones kept: Debezium's tombstone shares the headers of its delete.
-- option: transforms=unwrap
-- option: transforms.unwrap.type=io.debezium.transforms.ExtractNewRecordState
-- option: transforms.unwrap.delete.tombstone.handling.mode=rewrite-with-tombstone
-- option: transforms.unwrap.add.headers=op,db
-- setup
create table public.orders (id int primary key, note text);
-- stream
insert into orders values (1, 'one'), (2, null);
update orders set id = 3 where id = 2;
delete from orders where id in (1, 3);
insert into orders values (1, 'again');
