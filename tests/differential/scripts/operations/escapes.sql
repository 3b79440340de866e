-- Characters that JSON escapes, in values and keys.
-- setup
create table t (k text primary key, v text);
-- stream
insert into t values (E'quote " backslash \\ slash /', E'\b\f\n\r\t'), (E'\x01\x1f\x7f', 'äöü €'), ('𝄞 😀', E'\u2028\u2029'), ('', '</script>');
update t set v = k;
delete from t where k = '';
