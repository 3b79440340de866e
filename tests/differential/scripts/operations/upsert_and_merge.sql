-- INSERT ON CONFLICT, MERGE, UPDATE FROM, DELETE USING, writable CTEs, foreign keys with actions, triggers.
-- setup
create table stock (sku text primary key, amount int not null);
create table orders (id int generated always as identity primary key, sku text references stock on update cascade on delete cascade);
create table audit (id bigserial primary key, what text, at_row text);
create function note() returns trigger language plpgsql as $$
begin
  insert into audit (what, at_row) values (tg_op, coalesce(new.sku, old.sku));
  return null;
end $$;
create trigger noted after insert or update or delete on stock for each row execute function note();
-- stream
insert into stock values ('a', 1), ('b', 2) on conflict (sku) do update set amount = excluded.amount;
insert into stock values ('a', 5), ('c', 3) on conflict (sku) do update set amount = stock.amount + excluded.amount;
insert into stock values ('a', 9) on conflict do nothing;
insert into orders (sku) values ('a'), ('b');
merge into stock s using (values ('a', -1), ('d', 4)) v (sku, amount) on s.sku = v.sku
  when matched then update set amount = s.amount + v.amount when not matched then insert values (v.sku, v.amount);
update stock set sku = 'aa' where sku = 'a';
with gone as (delete from stock where sku = 'b' returning *) insert into stock select 'b2', amount from gone;
