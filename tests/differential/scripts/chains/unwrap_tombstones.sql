-- The default way of deletes with facts in headers, where no headers of the context are.
-- option: extended.headers.enabled=false
-- option: transforms=changed,unwrap
-- option: transforms.changed.type=io.debezium.transforms.ExtractChangedRecordState
-- option: transforms.changed.header.changed.name=changed
-- option: transforms.unwrap.type=io.debezium.transforms.ExtractNewRecordState
-- option: transforms.unwrap.add.headers=op
-- setup
create table public.orders (id int primary key, note text);
-- stream
insert into orders values (1, 'one'), (2, null);
update orders set id = 3 where id = 2;
delete from orders where id in (1, 3);
insert into orders values (1, 'again');
