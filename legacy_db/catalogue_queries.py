"""The catalogue queries of the inventory: what SQLAlchemy's reflection does not say."""

from __future__ import annotations

from typing import Final

_OURS: Final = "n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'"

SCHEMAS: Final = f"select n.nspname from pg_namespace n where {_OURS} order by 1"

# An UPDATE of a published table works when the identity is FULL, or its index exists, is valid and immediate.
TABLES: Final = f"""
select c.oid::int8, n.nspname, c.relname,
       case when c.relispartition then 'partition' when c.relkind = 'p' then 'partitioned'
            when c.relkind = 'f' then 'foreign' else 'table' end,
       case c.relpersistence when 'u' then 'unlogged' else 'permanent' end,
       greatest(c.reltuples, 0)::int8, case when c.relkind = 'r' then pg_table_size(c.oid) else 0 end,
       case c.relreplident when 'd' then 'default' when 'n' then 'nothing' when 'f' then 'full' else 'index' end,
       c.relkind = 'f' or c.relreplident = 'f' or exists (
         select 1 from pg_index i
          where i.indrelid = c.oid and i.indisvalid and i.indimmediate
            and ((c.relreplident = 'd' and i.indisprimary) or (c.relreplident = 'i' and i.indisreplident))),
       case when exists (select 1 from pg_index i where i.indrelid = c.oid and i.indisprimary and i.indimmediate) then ''
            when exists (select 1 from pg_index i where i.indrelid = c.oid and i.indisprimary) then 'deferrable'
            when exists (select 1 from pg_index i where i.indrelid = c.oid and i.indisunique and i.indpred is null) then 'nullable'
            else 'none' end,
       c.relrowsecurity, pg_get_userbyid(c.relowner),
       coalesce(s.n_tup_ins, 0), coalesce(s.n_tup_upd, 0), coalesce(s.n_tup_del, 0)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_stat_user_tables s on s.relid = c.oid
 where c.relkind in ('r', 'p', 'f') and {_OURS} and c.relpersistence <> 't'
 order by 2, 3
"""

COLUMN_TYPES: Final = """
select attrelid::int8, attname, format_type(atttypid, atttypmod) from pg_attribute
 where attnum > 0 and not attisdropped
"""

INHERITANCE: Final = """
select cn.nspname || '.' || c.relname, pn.nspname || '.' || p.relname
  from pg_inherits h
  join pg_class c on c.oid = h.inhrelid join pg_namespace cn on cn.oid = c.relnamespace
  join pg_class p on p.oid = h.inhparent join pg_namespace pn on pn.oid = p.relnamespace
 where c.relkind in ('r', 'p', 'f')
 order by 1, h.inhseqno
"""

RULES: Final = f"""
select n.nspname || '.' || c.relname, r.rulename,
       array(select distinct tn.nspname || '.' || t.relname
               from pg_depend d join pg_class t on t.oid = d.refobjid join pg_namespace tn on tn.oid = t.relnamespace
              where d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
                and d.refobjid <> c.oid order by 1)
  from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
 where {_OURS} and c.relkind in ('r', 'p') order by 1, 2
"""

STATISTICS_AGE: Final = """
select extract(epoch from clock_timestamp() - coalesce(stats_reset, pg_postmaster_start_time()))::float8
  from pg_stat_database where datname = current_database()
"""

VALIDATED: Final = """
select n.nspname || '.' || c.relname, k.conname, k.convalidated
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
 where k.contype = 'f'
"""

TRIGGERS: Final = f"""
select t.tgname, n.nspname || '.' || c.relname, pn.nspname || '.' || p.proname, t.tgtype::int, t.tgenabled::text,
       p.prosecdef, coalesce(pg_get_functiondef(p.oid), '')
  from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
  join pg_proc p on p.oid = t.tgfoid join pg_namespace pn on pn.oid = p.pronamespace
 where not t.tgisinternal and {_OURS} order by 2, 1
"""

VIEWS: Final = f"""
select n.nspname || '.' || c.relname, c.relkind::text,
       array(select distinct tn.nspname || '.' || t.relname
               from pg_rewrite r
               join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
                    and d.refclassid = 'pg_class'::regclass and d.refobjid <> c.oid
               join pg_class t on t.oid = d.refobjid join pg_namespace tn on tn.oid = t.relnamespace
              where r.ev_class = c.oid order by 1)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('v', 'm') and {_OURS} order by 1
"""

SEQUENCES: Final = f"""
select n.nspname || '.' || c.relname,
       array(select distinct tn.nspname || '.' || t.relname
               from pg_depend d left join pg_attrdef a on d.classid = 'pg_attrdef'::regclass and a.oid = d.objid
               join pg_class t on t.oid = coalesce(a.adrelid, d.refobjid) and t.relkind in ('r', 'p')
               join pg_namespace tn on tn.oid = t.relnamespace
              where (d.refobjid = c.oid and a.oid is not null) or (d.objid = c.oid and d.deptype in ('a', 'i')) order by 1)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'S' and {_OURS} order by 1
"""

DATABASE: Final = """
select current_database() as name, current_setting('server_version') as version,
       current_setting('server_version_num')::int as version_number,
       pg_encoding_to_char(d.encoding) as encoding, d.datcollate as collation, pg_database_size(d.oid) as bytes,
       current_setting('wal_level') as wal_level, current_setting('max_slot_wal_keep_size') as max_slot_wal_keep_size,
       current_setting('timezone') as timezone,
       (select count(*) from pg_prepared_xacts where database = current_database()) as prepared_transactions,
       (select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8 from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()) as oldest_transaction_seconds,
       pg_is_in_recovery() as standby
  from pg_database d where d.datname = current_database()
"""

ROLES: Final = f"""
select coalesce(nullif(pg_get_userbyid(a.grantee), 'unknown (OID=0)'), 'public'), a.privilege_type, count(*)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace,
       aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
 where c.relkind in ('r', 'p', 'v', 'm') and {_OURS} and a.grantee <> c.relowner
 group by 1, 2 order by 1, 2
"""

LARGE_OBJECTS: Final = "select count(*) from pg_largeobject_metadata"
