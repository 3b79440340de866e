-- The key's fields stand in the order of the primary key, the row's in the order of the columns.
-- setup
create table cells (a int not null, b text not null, c int not null, d text, primary key (c, b));
create table wide (a int, b int, c int, d int, e int, primary key (e, a, c));
-- stream
insert into cells values (1, 'b', 2, 'x');
update cells set d = 'y';
update cells set b = 'bb';
update cells set c = 3, b = 'b', a = 9;
delete from cells;
insert into wide values (1, 2, 3, 4, 5);
update wide set c = 33;
delete from wide;
