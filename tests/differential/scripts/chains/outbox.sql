-- An outbox table, routed by its aggregate; other tables keep their way.
-- option: transforms=outbox
-- option: predicates=outbox
-- option: predicates.outbox.type=org.apache.kafka.connect.transforms.predicates.TopicNameMatches
-- option: predicates.outbox.pattern=srv\.public\.outbox
-- option: transforms.outbox.type=io.debezium.transforms.outbox.EventRouter
-- option: transforms.outbox.predicate=outbox
-- option: transforms.outbox.route.topic.replacement=srv.event.${routedByValue}
-- option: transforms.outbox.table.expand.json.payload=true
-- option: transforms.outbox.table.fields.additional.placement=type:header:kind,tenant:envelope
-- setup
create table public.outbox (id uuid primary key, aggregatetype text not null, aggregateid text not null, type text not null, tenant int, payload jsonb);
create table public.orders (id int primary key, note text);
-- stream
begin;
insert into orders values (1, 'one');
insert into outbox values ('00000000-0000-0000-0000-000000000001', 'order', '1', 'placed', 7, '{"id": 1, "lines": [{"sku": "a", "n": 2}], "note": null}');
commit;
insert into outbox values ('00000000-0000-0000-0000-000000000002', 'customer', 'c-9', 'moved', null, '{"city": "Köln"}'), ('00000000-0000-0000-0000-000000000003', 'order', '2', 'gone', 1, null);
delete from outbox;
