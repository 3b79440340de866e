-- A propagated type hides a hash and a mask in Debezium, and truncation hides both (defect M1).
-- option: column.propagate.source.type=public.t.*
-- option: column.mask.hash.v2.SHA-256.with.salt.s=public.t.a
-- option: column.mask.with.3.chars=public.t.(b|c)
-- option: column.truncate.to.2.chars=public.t.c
-- setup
create table t (id int primary key, a text, b text, c text);
-- stream
insert into t values (1, 'secret', 'secret', 'secret'), (2, null, null, null);
