-- The same names with Avro adjustment that can be undone.
-- option: schema.name.adjustment.mode=avro_unicode
-- option: field.name.adjustment.mode=avro_unicode
-- setup
create schema "Ünï Schema";
create table "Ünï Schema"."Weird Tab.é$" ("Key Col" int primary key, "ä.b" text, "select" int, "with ""quotes""" text, "tab	col" text);
create table "Upper" ("Id" int primary key, "camelCase" text);
create table "1st.under_score" ("1x" int primary key, under_score text, "łódź" text, "_lead" text, "a-b" text, "x.1" text);
create table "t#x" (id int primary key);
create table "日本" ("列" int primary key, "😀" text);
-- stream
insert into "Ünï Schema"."Weird Tab.é$" values (1, 'x', 2, 'y', 'z');
update "Ünï Schema"."Weird Tab.é$" set "ä.b" = 'é';
insert into "Upper" values (1, 'a');
update "Upper" set "Id" = 2;
insert into "1st.under_score" values (1, 'a', 'b', 'c', 'd', 'e');
insert into "t#x" values (1);
insert into "日本" values (1, '😀');
delete from "日本";
