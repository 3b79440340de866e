-- Prepared transactions appear when they are committed, with the xid of their statements.
-- setup
create table t (id int primary key, v text);
-- stream
insert into t values (1, 'a');
begin;
insert into t values (2, 'b');
update t set v = 'c' where id = 1;
prepare transaction 'differential one';
insert into t values (3, 'd');
commit prepared 'differential one';
begin;
insert into t values (4, 'e');
prepare transaction 'differential two';
rollback prepared 'differential two';
delete from t where id = 3;
