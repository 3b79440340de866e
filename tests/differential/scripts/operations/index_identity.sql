-- REPLICA IDENTITY USING INDEX on another index than the primary key: Debezium's key is wrong there (defect B4).
-- setup
create table seats (id int primary key, place text not null, guest text);
create unique index seats_place on seats (place);
alter table seats replica identity using index seats_place;
-- stream
insert into seats values (1, 'A1', 'Ann'), (2, 'A2', null);
update seats set guest = 'Bob' where id = 1;
update seats set place = 'B1' where id = 1;
update seats set id = 5 where id = 2;
delete from seats where place = 'B1';
delete from seats;
