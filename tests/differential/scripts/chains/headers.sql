-- Headers set, taken out of the value, dropped, and looked at by predicates; the envelope stays.
-- option: transforms=mark,op,wide,drop,keep,flat
-- option: predicates=tombstone,marked,renamed
-- option: predicates.tombstone.type=org.apache.kafka.connect.transforms.predicates.RecordIsTombstone
-- option: predicates.marked.type=org.apache.kafka.connect.transforms.predicates.HasHeaderKey
-- option: predicates.marked.name=weight
-- option: predicates.renamed.type=org.apache.kafka.connect.transforms.predicates.HasHeaderKey
-- option: predicates.renamed.name=__debezium.newkey
-- option: transforms.mark.type=org.apache.kafka.connect.transforms.InsertHeader
-- option: transforms.mark.header=weight
-- option: transforms.mark.value.literal=3.14159
-- option: transforms.mark.predicate=tombstone
-- option: transforms.mark.negate=true
-- option: transforms.op.type=org.apache.kafka.connect.transforms.HeaderFrom$Value
-- option: transforms.op.fields=op
-- option: transforms.op.headers=operation
-- option: transforms.op.operation=copy
-- option: transforms.op.predicate=marked
-- option: transforms.wide.type=org.apache.kafka.connect.transforms.InsertHeader
-- option: transforms.wide.header=list
-- option: transforms.wide.value.literal=[1, 2.5]
-- option: transforms.wide.predicate=marked
-- option: transforms.wide.negate=true
-- option: transforms.drop.type=org.apache.kafka.connect.transforms.DropHeaders
-- option: transforms.drop.headers=__debezium.context.connectorName,__debezium.context.runId,absent
-- option: transforms.keep.type=org.apache.kafka.connect.transforms.Filter
-- option: transforms.keep.predicate=renamed
-- option: transforms.flat.type=org.apache.kafka.connect.transforms.HoistField$Key
-- option: transforms.flat.field=of
-- setup
create table public.orders (id int primary key, note text);
-- stream
insert into orders values (1, 'one'), (2, null);
update orders set note = 'eins' where id = 1;
update orders set id = 3 where id = 2;
delete from orders where id = 1;
