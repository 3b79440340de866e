-- A ledger that has grown for years: no primary keys here, natural keys there, mixed case, dead columns.
-- option: skipped.operations=none
-- setup
create schema "Ledger";
create table "Ledger"."Accounts" ("AccountNo" varchar(20) not null, "Holder" text, "Opened" date, "Closed" date, "Limit" numeric default 0);
create unique index "UX_Accounts" on "Ledger"."Accounts" ("AccountNo");
alter table "Ledger"."Accounts" replica identity using index "UX_Accounts";
create table "Ledger"."Entries" ("Year" smallint, "No" int, "AccountNo" varchar(20), "Amount" numeric(18,4) not null, "Text" text, legacy int, primary key ("Year", "No"));
alter table "Ledger"."Entries" drop column legacy;
create table "Ledger"."Rates" ("Currency" char(3), "Day" date, "Rate" double precision);
alter table "Ledger"."Rates" replica identity full;
create table "Ledger"."Log" ("At" timestamptz, "Line" text);
-- stream
insert into "Ledger"."Accounts" values ('A-1', 'Ann', '1999-12-31', null, 1000.5), ('A-2', null, null, null, default);
begin;
insert into "Ledger"."Entries" values (2024, 1, 'A-1', -100.25, 'out'), (2024, 2, 'A-2', 100.25, 'in');
insert into "Ledger"."Log" values ('2024-01-01 00:00:00+00', 'booked');
commit;
insert into "Ledger"."Rates" values ('CHF', '2024-01-01', 1.0), ('EUR', '2024-01-01', 0.93), ('USD', '2024-01-01', 1e-7);
update "Ledger"."Rates" set "Rate" = "Rate" * 2 where "Currency" = 'EUR';
update "Ledger"."Accounts" set "Closed" = '2024-06-30' where "AccountNo" = 'A-2';
update "Ledger"."Entries" set "Text" = null where "No" = 1;
update "Ledger"."Entries" set "Year" = 2023 where "No" = 2;
delete from "Ledger"."Rates" where "Currency" = 'USD';
delete from "Ledger"."Entries" where "Year" = 2024;
truncate "Ledger"."Log";
delete from "Ledger"."Accounts" where "AccountNo" = 'A-2';
