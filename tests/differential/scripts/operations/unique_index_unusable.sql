-- Unique indexes that are partial or over an expression, each alone.
-- setup
create table partial (a int, b text);
create unique index partial_a on partial (a) where a > 0;
alter table partial replica identity full;
create table expression (a int, b text);
create unique index expression_b on expression (lower(b));
alter table expression replica identity full;
create table mixed (a int, b text);
create unique index mixed_ab on mixed (a, lower(b));
alter table mixed replica identity full;
create table included (a int, b text);
create unique index included_a on included (b) include (a);
alter table included replica identity full;
-- stream
insert into partial values (1, 'x'), (-1, 'y'), (-1, 'z');
delete from partial where a = 1;
insert into expression values (1, 'x');
insert into mixed values (1, 'x');
insert into included values (1, 'x');
