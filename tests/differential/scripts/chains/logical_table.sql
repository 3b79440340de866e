-- The shards of a table in one topic, told apart in the key; then where the row goes by its content.
-- option: transforms=gather,spread
-- option: predicates=shard
-- option: predicates.shard.type=org.apache.kafka.connect.transforms.predicates.TopicNameMatches
-- option: predicates.shard.pattern=.*orders.*
-- option: transforms.gather.type=io.debezium.transforms.ByLogicalTableRouter
-- option: transforms.gather.topic.regex=(.*)orders_(\d+)
-- option: transforms.gather.topic.replacement=$1all_orders
-- option: transforms.gather.key.field.name=shard
-- option: transforms.gather.key.field.regex=(.*)orders_(\d+)
-- option: transforms.gather.key.field.replacement=$2
-- option: transforms.spread.type=io.debezium.transforms.partitions.PartitionRouting
-- option: transforms.spread.partition.payload.fields=change.region
-- option: transforms.spread.partition.topic.num=3
-- option: transforms.spread.predicate=shard
-- partitions: 3
-- setup
create table public.orders_1 (id int primary key, region text, note text);
create table public.orders_2 (like public.orders_1 including all);
alter table orders_1 replica identity full;
alter table orders_2 replica identity full;
-- stream
insert into orders_1 select g, 'region ' || g % 5, 'note' from generate_series(1, 10) g;
insert into orders_2 select * from orders_1;
update orders_2 set region = 'elsewhere' where id < 4;
delete from orders_1 where id > 8;
