-- Kafka's transforms one after the other on the row: fields renamed, cast, masked, converted, inserted, made the key.
-- option: transforms=unwrap,rename,cast,mask,time,where,key,id,route
-- option: predicates=end
-- option: predicates.end.type=org.apache.kafka.connect.transforms.predicates.TopicNameMatches
-- option: predicates.end.pattern=srv\.public\.zz_end
-- option: transforms.unwrap.type=io.debezium.transforms.ExtractNewRecordState
-- option: transforms.unwrap.delete.tombstone.handling.mode=drop
-- option: transforms.unwrap.predicate=end
-- option: transforms.unwrap.negate=true
-- option: transforms.rename.type=org.apache.kafka.connect.transforms.ReplaceField$Value
-- option: transforms.rename.renames=note:remark,paid:settled
-- option: transforms.rename.exclude=secret
-- option: transforms.rename.predicate=end
-- option: transforms.rename.negate=true
-- option: transforms.cast.type=org.apache.kafka.connect.transforms.Cast$Value
-- option: transforms.cast.spec=amount:int8,ratio:string,settled:string
-- option: transforms.cast.predicate=end
-- option: transforms.cast.negate=true
-- option: transforms.mask.type=org.apache.kafka.connect.transforms.MaskField$Value
-- option: transforms.mask.fields=remark
-- option: transforms.mask.replacement=***
-- option: transforms.mask.predicate=end
-- option: transforms.mask.negate=true
-- option: transforms.time.type=org.apache.kafka.connect.transforms.TimestampConverter$Value
-- option: transforms.time.field=at
-- option: transforms.time.target.type=string
-- option: transforms.time.format=yyyy-MM-dd'T'HH:mm:ss.SSSXXX
-- option: transforms.time.unix.precision=microseconds
-- option: transforms.time.predicate=end
-- option: transforms.time.negate=true
-- option: transforms.where.type=org.apache.kafka.connect.transforms.InsertField$Value
-- option: transforms.where.topic.field=came_from
-- option: transforms.where.static.field=system!
-- option: transforms.where.static.value=legacy
-- option: transforms.where.predicate=end
-- option: transforms.where.negate=true
-- option: transforms.key.type=org.apache.kafka.connect.transforms.ValueToKey
-- option: transforms.key.fields=id
-- option: transforms.key.predicate=end
-- option: transforms.key.negate=true
-- option: transforms.id.type=org.apache.kafka.connect.transforms.ExtractField$Key
-- option: transforms.id.field=id
-- option: transforms.id.predicate=end
-- option: transforms.id.negate=true
-- option: transforms.route.type=org.apache.kafka.connect.transforms.RegexRouter
-- option: transforms.route.regex=(\w+)\.public\.([a-y].*)
-- option: transforms.route.replacement=$1.rows.$2
-- setup
create table public.orders (id int primary key, note text not null default 'none', paid boolean, amount bigint, ratio double precision, at timestamp, secret text);
-- stream
insert into orders values (1, 'one', true, 300, 0.1, '2024-02-29 12:34:56.789', 's'), (2, 'two', false, -129, 1e300, null, null);
update orders set amount = 127, ratio = 'NaN' where id = 1;
update orders set id = 3, paid = null where id = 2;
update orders set at = '1969-12-31 23:59:59.999999';
delete from orders where id = 1;
