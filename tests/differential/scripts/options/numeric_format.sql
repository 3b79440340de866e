-- Decimals as JSON numbers, and NULL that stays null.
-- option: value.converter.decimal.format=NUMERIC
-- option: key.converter.decimal.format=numeric
-- option: value.converter.replace.null.with.default=false
-- setup
create table t (id numeric(5,1) primary key, n numeric(10,2) default 2.50, v text default 'd');
-- stream
insert into t values (1.5, 3, 'x'), (2, null, null);
delete from t where id = 1.5;
