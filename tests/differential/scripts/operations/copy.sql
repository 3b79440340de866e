-- COPY: many rows share one position.
-- setup
create table t (id int primary key, v text, n numeric(6,2));
-- stream
copy t from stdin;
1	one	1.50
2	\N	2
3	tab\there	-3.25
4	back\\slash	\N
5	ünï	0
\.
copy t (id, v) from stdin with (format csv);
6,six
7,"with ""quotes"", and comma"
8,
\.
update t set n = n + 1;
