-- Inheritance that is not partitioning: each table under its own name.
-- setup
create table base (id int primary key, v text);
create table derived (extra int, primary key (id)) inherits (base);
-- stream
insert into base values (1, 'a');
insert into derived values (2, 'b', 3);
update base set v = 'c';
delete from base;
