-- Savepoints: what is rolled back to is not published, what stays keeps its place and the transaction's id.
-- setup
create table t (id int primary key, v text);
-- stream
begin;
insert into t values (1, 'kept');
savepoint one;
insert into t values (2, 'lost');
savepoint two;
insert into t values (3, 'lost too');
rollback to one;
insert into t values (4, 'kept');
savepoint three;
update t set v = 'changed' where id = 1;
release three;
delete from t where id = 4;
commit;
begin;
insert into t values (5, 'never');
rollback;
do $$ begin
  insert into t values (6, 'outer');
  begin
    insert into t values (6, 'twice');
  exception when unique_violation then
    insert into t values (7, 'handled');
  end;
end $$;
