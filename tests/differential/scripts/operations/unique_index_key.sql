-- No primary key: a unique index is the key, whatever else there is; partial ones and expressions are not.
-- setup
create table one (a int, b text not null, c int);
create unique index one_b on one (b);
alter table one replica identity full;
create table several (z int not null, y int not null, x int not null);
create unique index several_b on several (y, z);
create unique index several_a on several (x);
alter table several replica identity full;
create table nullable (a int, b text);
create unique index nullable_a on nullable (a);
alter table nullable replica identity full;
create table unusable (a int, b text);
create unique index unusable_a on unusable (a) where a > 0;
create unique index unusable_b on unusable (lower(b));
alter table unusable replica identity full;
-- stream
insert into one values (1, 'x', 2);
update one set c = 3;
update one set b = 'y';
delete from one;
insert into several values (1, 2, 3);
update several set x = 4;
update several set y = 5;
insert into nullable values (1, 'x'), (null, 'y');
update nullable set b = 'z';
delete from nullable;
insert into unusable values (1, 'x');
delete from unusable;
