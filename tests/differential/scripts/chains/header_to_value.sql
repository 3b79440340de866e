-- Headers of the context as fields of the envelope, taken out of the headers.
-- option: transforms=into
-- option: transforms.into.type=io.debezium.transforms.HeaderToValue
-- option: transforms.into.headers=__debezium.context.taskId,__debezium.context.connectorName
-- option: transforms.into.fields=task,source.kind
-- option: transforms.into.operation=move
-- setup
create table public.orders (id int primary key, note text);
-- stream
insert into orders values (1, 'one'), (2, null);
delete from orders where id = 1;
