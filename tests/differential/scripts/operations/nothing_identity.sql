-- REPLICA IDENTITY NOTHING: only inserts can be published.
-- setup
create table log (id int primary key, line text);
alter table log replica identity nothing;
-- stream
insert into log values (1, 'first'), (2, null);
insert into log select n, 'line ' || n from generate_series(3, 6) n;
