-- A naming strategy that joins shards: the key says which table a record came from.
-- option: topic.naming.strategy=io.debezium.schema.SchemaRegexTopicNamingStrategy
-- option: topic.regex=(.*)shard_[0-9]+(.*)
-- option: topic.replacement=$1all$2
-- setup
create table shard_1 (id int primary key, v text);
create table shard_2 (id int primary key, v text);
create table plain (id int primary key, v text);
-- stream
insert into shard_1 values (1, 'a');
insert into shard_2 values (1, 'b');
insert into plain values (1, 'c');
update shard_1 set id = 2;
delete from shard_2;
