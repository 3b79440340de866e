-- The schema and the transactions of pgbench, at a small scale.
-- setup
create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
create table pgbench_tellers (tid int not null, bid int, tbalance int, filler char(84)) with (fillfactor = 100);
create table pgbench_accounts (aid int not null, bid int, abalance int, filler char(84)) with (fillfactor = 100);
create table pgbench_branches (bid int not null, bbalance int, filler char(88)) with (fillfactor = 100);
insert into pgbench_branches (bid, bbalance) values (1, 0);
insert into pgbench_tellers (tid, bid, tbalance) select g, 1, 0 from generate_series(1, 10) g;
insert into pgbench_accounts select g, 1, 0, '' from generate_series(1, 100) g;
alter table pgbench_branches add primary key (bid);
alter table pgbench_tellers add primary key (tid);
alter table pgbench_accounts add primary key (aid);
-- stream
do $$ begin
  for g in 1..15 loop
    update pgbench_accounts set abalance = abalance + g * 7 where aid = g * 5;
    update pgbench_tellers set tbalance = tbalance + g * 7 where tid = 1 + g % 10;
    update pgbench_branches set bbalance = bbalance + g * 7 where bid = 1;
    insert into pgbench_history (tid, bid, aid, delta, mtime) values (1 + g % 10, 1, g * 5, g * 7, '2024-05-05 12:00:00'::timestamp + g * interval '1 second');
    commit;
  end loop;
end $$;
truncate pgbench_history;
