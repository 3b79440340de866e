-- A table is renamed in mid-stream, and moved to another schema.
-- setup
create table old_name (id int primary key, v text);
create schema other;
-- stream
insert into old_name values (1, 'a');
alter table old_name rename to new_name;
insert into new_name values (2, 'b');
alter table new_name set schema other;
update other.new_name set v = 'c' where id = 1;
