-- Keys by option, also of columns that may be null or are left out of the value.
-- option: message.key.columns=public.by_option:b,a;public\.many_.*:code;(.*).nullable:v
-- option: column.exclude.list=public.many_1.code
-- setup
create table by_option (id int primary key, a int not null, b text not null);
create table many_1 (id int primary key, code text not null);
create table many_2 (id int primary key, code text not null);
create table nullable (id int primary key, v text);
alter table by_option replica identity full;
alter table many_1 replica identity full;
alter table many_2 replica identity full;
alter table nullable replica identity full;
-- stream
insert into by_option values (1, 2, 'x');
update by_option set a = 3;
update by_option set id = 9;
delete from by_option;
insert into many_1 values (1, 'c');
insert into many_2 values (1, 'c');
update many_2 set code = 'd';
delete from many_1;
insert into nullable values (1, null), (2, 'v');
update nullable set v = 'w' where id = 1;
delete from nullable;
