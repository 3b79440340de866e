-- Transforms that look into the envelope: what changed, in which zone, flattened.
-- option: transforms=changed,zone,flat
-- option: predicates=tombstone
-- option: predicates.tombstone.type=org.apache.kafka.connect.transforms.predicates.RecordIsTombstone
-- option: transforms.changed.type=io.debezium.transforms.ExtractChangedRecordState
-- option: transforms.changed.header.changed.name=changed
-- option: transforms.changed.header.unchanged.name=unchanged
-- option: transforms.zone.type=io.debezium.transforms.TimezoneConverter
-- option: transforms.zone.converted.timezone=America/New_York
-- option: transforms.zone.include.list=source:orders:seen
-- option: transforms.flat.type=org.apache.kafka.connect.transforms.Flatten$Value
-- option: transforms.flat.delimiter=_
-- option: transforms.flat.predicate=tombstone
-- option: transforms.flat.negate=true
-- setup
create table public.orders (id int primary key, note text, seen timestamptz, other timestamptz);
alter table orders replica identity full;
-- stream
insert into orders values (1, 'one', '2024-07-01 12:00:00+00', '2024-07-01 12:00:00+00'), (2, null, '2024-01-01 00:30:00.123456+00', null);
update orders set note = 'eins', other = null where id = 1;
update orders set note = note where id = 2;
delete from orders where id = 1;
