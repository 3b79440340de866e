-- NULL, the empty text and the default are three things; NULL in a column with a default is defect N1.
-- setup
create table t (id int primary key, a text, b text default 'deflt', c int default 5, d varchar not null default '', e boolean default true);
-- stream
insert into t values (1, '', '', 0, '', false), (2, null, null, null, ' ', null);
insert into t (id) values (3);
update t set a = '', b = null where id = 3;
