-- Every option at its default, with a delete followed by its tombstone, and schemas left out.
-- option: transforms=unwrap
-- option: transforms.unwrap.type=io.debezium.transforms.ExtractNewRecordState
-- option: key.converter.schemas.enable=false
-- option: value.converter.schemas.enable=false
-- setup
create table public.orders (id int primary key, note text default 'none', price numeric(10,2) not null default 1.50);
-- stream
insert into orders values (1, 'one', 10.5), (2, null, 3);
update orders set note = 'eins' where id = 1;
update orders set id = 3 where id = 2;
delete from orders;
