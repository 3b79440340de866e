-- Partitions publish under their own names; a row that moves is a delete in one topic and a create in the other.
-- setup
create table measures (id int not null, day date not null, v text, primary key (id, day)) partition by range (day);
create table measures_2023 partition of measures for values from ('2023-01-01') to ('2024-01-01');
create table measures_2024 partition of measures for values from ('2024-01-01') to ('2025-01-01');
-- stream
insert into measures values (1, '2023-05-05', 'a'), (2, '2024-05-05', 'b');
update measures set v = 'c' where id = 1;
update measures set day = '2024-06-06' where id = 1;
delete from measures where id = 2;
create table measures_2025 partition of measures for values from ('2025-01-01') to ('2026-01-01');
insert into measures values (3, '2025-05-05', 'd');
