-- The same types as opaque bytes: the text of Debezium's driver, in the form of `binary.handling.mode`.
-- option: include.unknown.datatypes=true
-- setup
create type pair as (a int, b text);
create type nested as (p pair, tags text[], at timestamptz);
create table shapes (
  id int primary key, ls lseg, li line, bo box, pa path, po polygon, ci circle, pt point, after text,
  lss lseg[], lis line[], bos box[], pas path[], pos polygon[], cis circle[], pts point[]);
create table words (
  id int primary key, tq tsquery, jp jsonpath, ts txid_snapshot, ps pg_snapshot, pr pair, ne nested, after text,
  tqs tsquery[], jps jsonpath[], tss txid_snapshot[], pss pg_snapshot[], prs pair[], nes nested[]);
alter table words replica identity full;
-- stream
insert into shapes values (1, '[(0,0),(1,1)]', '{1,2,3}', '(1,1),(0,0)', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))', '<(1.5,2),3>', '(1.5,-2)', 'a',
  array['[(0,0),(1,1)]', null]::lseg[], array['{1,2,3}']::line[], array['(1,1),(0,0)', '(3,3),(2,2)']::box[], array['[(0,0),(1,1)]']::path[],
  array['((0,0),(1,1))']::polygon[], array['<(1,2),3>']::circle[], array['(1,2)', null]::point[]);
insert into shapes values (2, '[(-1.5,1e-7),(1e20,-0)]', '{0.1,-1e300,5e-324}', '(1e15,123456789.125),(-0.0001,0.001)', '((0.1,0.2),(1e7,9999999.5))', '((1e16,-1e16))',
  '<(NaN,Infinity),1e-10>', '(1e20,-1e-20)', 'b', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
insert into shapes values (3);
insert into shapes (id, bos, cis, lss) values (5, '{{(1,1),(0,0);(2,2),(1,1)}}', array[array['<(1,2),3>', null], array[null, '<(3,4),5>']]::circle[], array[null]::lseg[]);
update shapes set after = 'c', bo = null, ci = '<(0,0),0>' where id = 1;
update shapes set id = 4 where id = 2;
delete from shapes where id = 4;
insert into words values (1, '''fat'' & !(''rat'' | ''cat'':AB*)', 'strict $.a[*] ? (@.b > 1 && @.c == "x\"y")', '10:20:10,14', '10:20:10,14,15', '(1,"a ""b"" \\ c")', row(row(2, null), array['x,y', null, '{'], '2024-02-29 12:00:00+02'), 'a',
  array['a & b', null]::tsquery[], array['$.a', '$."b c"']::jsonpath[], array['10:20:10,14']::txid_snapshot[], array['10:20:', null]::pg_snapshot[],
  array[row(1, 'a'), row(null, ''), null]::pair[], array[row(row(1, 'é'), null, null)]::nested[]);
insert into words values (2, '', '$', '1:1:', '1:1:', '(,)', row(null, null, null), 'b', '{}', '{}', '{}', '{}', '{}', '{}');
insert into words values (3);
insert into words (id, prs, tqs) values (4, array[array[row(1, 'a'), row(2, 'b')]]::pair[], array[array['a', null]]::tsquery[]);
update words set after = 'c', pr = null where id = 1;
delete from words where id = 2;
