-- Comments of tables and columns as documentation of schemas.
-- option: include.schema.comments=true
-- setup
create table t (id int primary key, v text, w text);
comment on table t is 'A table.';
comment on column t.id is 'The key.';
comment on column t.v is 'A "value".';
-- stream
insert into t values (1, 'a', 'b');
