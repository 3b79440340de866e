-- Another delimiter, and names of the other topics.
-- option: topic.delimiter=_
-- option: topic.transaction=boundaries
-- option: provide.transaction.metadata=true
-- setup
create table t (id int primary key);
-- stream
insert into t values (1);
select pg_logical_emit_message(true, 'p', 'content');
