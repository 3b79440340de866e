-- The same keys with decimals as numbers, times of Connect and doubles.
-- option: key.converter.decimal.format=NUMERIC
-- option: time.precision.mode=connect
-- option: binary.handling.mode=hex
-- setup
create type col as enum ('red', 'green');
create table k_text (k text primary key); create table k_num (k numeric(8,2) primary key); create table k_var (k numeric primary key);
create table k_date (k date primary key); create table k_ts (k timestamptz primary key); create table k_uuid (k uuid primary key);
create table k_bytes (k bytea primary key); create table k_bool (k boolean, i int, primary key (k, i)); create table k_f8 (k float8 primary key);
create table k_enum (k col primary key); create table k_char (k char(4) primary key); create table k_time (k time primary key);
create table k_arr (k int[] primary key); create table k_i8 (k bigint primary key); create table k_json (k jsonb primary key);
-- stream
insert into k_text values (E'a"b\\c\n😀é');
update k_text set k = k || '2';
insert into k_num values (12.5);
update k_num set k = -1.25;
insert into k_var values (12.5);
update k_var set k = 100;
insert into k_date values ('2024-02-29');
update k_date set k = '2024-03-01';
insert into k_ts values ('2024-02-29 01:02:03.5Z');
update k_ts set k = '2024-03-01Z';
insert into k_uuid values ('11111111-1111-1111-1111-111111111111');
update k_uuid set k = '21111111-1111-1111-1111-111111111111';
insert into k_bytes values ('\x00ff');
update k_bytes set k = '\x01';
insert into k_bool values (true, 1);
update k_bool set k = false;
insert into k_f8 values (1.5);
update k_f8 set k = 1e300;
insert into k_enum values ('red');
update k_enum set k = 'green';
insert into k_char values ('ab');
update k_char set k = 'cd';
insert into k_time values ('12:00:01.5');
insert into k_arr values ('{1,2}');
update k_arr set k = '{3}';
insert into k_i8 values (9007199254740993);
update k_i8 set k = -1;
insert into k_json values ('{"a": [1, null, "x"]}');
update k_json set k = '1';
