-- ltree and its queries, alone and in arrays; lquery and ltxtquery have no mapping.
-- option: include.unknown.datatypes=true
-- postgres: 15
-- setup
create extension ltree;
create table t (id int primary key, path ltree, query lquery, words ltxtquery, after text, paths ltree[], queries lquery[]);
-- stream
insert into t values (1, 'Top.Science', '*.Science{1,2}.!a|b*@', 'Europe & Russia*@ & !Transportation', 'a', '{Top,Top.Science}', array['Top.*', null]::lquery[]);
insert into t values (2, '', '*', 'a', 'b', '{}', '{}');
insert into t values (3);
update t set after = 'c', query = null where id = 1;
delete from t where id = 2;
