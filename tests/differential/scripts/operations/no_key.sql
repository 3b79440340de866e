-- Tables without a key: null key bytes, and tombstones without a key.
-- setup
create table plain (a int, b text);
create table whole (a int, b text);
alter table whole replica identity full;
-- stream
insert into plain values (1, 'x'), (null, null);
insert into whole values (1, 'x'), (2, 'y'), (2, 'y');
update whole set b = 'z' where a = 1;
delete from whole where a = 2;
