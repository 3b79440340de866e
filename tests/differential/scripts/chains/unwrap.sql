-- The chain that nearly everyone uses: rows without the envelope, deletes marked, facts in fields and headers.
-- option: transforms=unwrap
-- option: transforms.unwrap.type=io.debezium.transforms.ExtractNewRecordState
-- option: transforms.unwrap.delete.tombstone.handling.mode=rewrite
-- option: transforms.unwrap.add.fields=op,table,source.ts_ms:committed
-- option: transforms.unwrap.add.headers=op,db
-- setup
create table public.orders (id int primary key, note text, price numeric(10,2) not null default 1.50, at timestamp, doc jsonb, big text);
alter table public.orders alter big set storage external;
create table public.plain (note text);
-- stream
insert into orders values (1, 'one', 10.5, '2024-01-02 03:04:05.678', '{"a": [1, 2]}', repeat('x', 3000)), (2, null, 3, null, null, null);
update orders set note = 'eins' where id = 1;
update orders set id = 3 where id = 2;
update orders set note = null, price = default;
delete from orders where id = 1;
insert into plain values ('no key'), (null);
truncate orders;
insert into orders values (4, 'ünï "4"', 4, null, null, '');
