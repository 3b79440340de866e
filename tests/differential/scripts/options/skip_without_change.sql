-- Updates that change no captured column.
-- option: skip.messages.without.change=true
-- option: column.exclude.list=public.f.hidden,public.d.hidden
-- setup
create table f (id int primary key, v text, hidden text);
alter table f replica identity full;
create table d (id int primary key, v text, hidden text);
-- stream
insert into f values (1, 'a', 'x');
update f set v = 'a';
update f set hidden = 'y';
update f set v = 'b';
update f set id = 2;
insert into d values (1, 'a', 'x');
update d set v = 'a';
update d set hidden = 'y';
