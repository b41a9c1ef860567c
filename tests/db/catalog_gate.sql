-- What is wrong with a schema of tenant tables: a row for each mistake, none when all is well.
-- $1: the schema; $2: the roles that serve requests; $3: the tables that penny_system may search in every tenant.
WITH schema AS (
    SELECT oid, nspname FROM pg_namespace WHERE nspname = $1::text
), role AS (
    SELECT oid, rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = ANY($2::text[])
), tables AS (
    SELECT c.oid, c.oid::regclass::text AS name, c.relkind, c.relispartition, c.relrowsecurity, c.relforcerowsecurity, c.relacl, c.relowner,
        (SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped) AS tenant,
        coalesce((SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid), c.oid)::regclass::text AS root
    FROM pg_class c JOIN schema ON schema.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')
), tenant_tables AS (
    SELECT * FROM tables WHERE tenant IS NOT NULL
), wall (expression) AS (
    VALUES ('(tenant_id = ( SELECT (NULLIF(current_setting(''app.tenant_id''::text, true), ''''::text))::uuid AS "nullif"))')
), policy AS (
    SELECT t.oid AS table_oid, t.name, t.root, p.polname, p.polpermissive, p.polcmd, p.polroles,
        pg_get_expr(p.polqual, p.polrelid) AS visible, pg_get_expr(p.polwithcheck, p.polrelid) AS writable
    FROM tenant_tables t JOIN pg_policy p ON p.polrelid = t.oid
), command (letter, verb, reads, writes) AS (
    VALUES ('r', 'SELECT', true, false), ('a', 'INSERT', false, true), ('w', 'UPDATE', true, true), ('d', 'DELETE', true, false)
), definer AS (
    SELECT p.oid::regprocedure::text AS name, p.proconfig, r.rolsuper OR r.rolbypassrls AS is_above
    FROM pg_proc p JOIN schema ON schema.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner WHERE p.prosecdef
), finding (text) AS (
    SELECT 'G01 no tenant_id, and not on the reviewed list of global tables: ' || name FROM tables WHERE tenant IS NULL
    UNION ALL SELECT 'G02 row-level security is not enabled: ' || name FROM tenant_tables WHERE NOT relrowsecurity
    UNION ALL SELECT 'G03 row-level security is not forced on the owner: ' || name FROM tenant_tables WHERE NOT relforcerowsecurity
    UNION ALL SELECT 'G04 tenant_id may be null: ' || t.name
        FROM tenant_tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = t.tenant WHERE NOT a.attnotnull
    UNION ALL SELECT 'G05 no policy: ' || name FROM tenant_tables t WHERE NOT EXISTS (SELECT 1 FROM policy WHERE policy.table_oid = t.oid)
    UNION ALL SELECT format('G06 the setting is read for every row, not once in a (SELECT …): %s.%s', name, polname)
        FROM policy WHERE concat(visible, writable) ~* 'current_setting' AND concat(visible, writable) !~* 'select'
    UNION ALL SELECT format('G07 a policy lets everything through: %s.%s', name, polname)
        FROM policy WHERE polpermissive AND (visible = 'true' OR writable = 'true')
    UNION ALL SELECT format('G08 a policy for writing leaves its WITH CHECK to chance: %s.%s', name, polname)
        FROM policy WHERE polcmd IN ('*', 'a', 'w') AND writable IS NULL
    UNION ALL SELECT 'G09 a unique index does not begin with tenant_id, and tells whether others have a value: ' || i.indexrelid::regclass
        FROM pg_index i JOIN tenant_tables t ON t.oid = i.indrelid WHERE i.indisunique AND i.indkey[0] <> t.tenant
    UNION ALL SELECT format('G10 a foreign key between tenant tables does not begin with tenant_id: %s.%s', child.name, k.conname)
        FROM pg_constraint k JOIN tenant_tables child ON child.oid = k.conrelid JOIN tenant_tables parent ON parent.oid = k.confrelid
        WHERE k.contype = 'f' AND (k.conkey[1] <> child.tenant OR k.confkey[1] <> parent.tenant)
    UNION ALL SELECT 'G11 no index begins with tenant_id: ' || name
        FROM tenant_tables t WHERE NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = t.oid AND i.indkey[0] = t.tenant)
    UNION ALL SELECT 'G12 a view reads with its owner''s rights: ' || c.oid::regclass
        FROM pg_class c JOIN schema ON schema.oid = c.relnamespace
        WHERE c.relkind = 'v' AND NOT coalesce(c.reloptions && ARRAY['security_invoker=true', 'security_invoker=on'], false)
    UNION ALL SELECT 'G13 a materialized view, which has no policies: ' || c.oid::regclass
        FROM pg_class c JOIN schema ON schema.oid = c.relnamespace WHERE c.relkind = 'm'
    UNION ALL SELECT format('G14 %s may name a partition directly: %s', role.rolname, name)
        FROM tables, role WHERE relispartition AND has_table_privilege(role.oid, tables.oid, 'SELECT, INSERT, UPDATE, DELETE')
    UNION ALL SELECT 'G15 a SECURITY DEFINER function of a role above the policies: ' || name FROM definer WHERE is_above
    UNION ALL SELECT 'G16 a SECURITY DEFINER function without a pinned search_path: ' || name
        FROM definer WHERE NOT coalesce(array_to_string(proconfig, ',') LIKE '%search_path=%', false)
    UNION ALL SELECT 'G17 a role above the policies, or one that makes roles, databases or replicas: ' || rolname
        FROM role WHERE rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication
    UNION ALL SELECT format('G18 %s owns %s', role.rolname, name) FROM tables JOIN role ON role.oid = relowner
    UNION ALL SELECT format('G19 %s may become %s', role.rolname, other.rolname)
        FROM role, pg_roles other WHERE other.oid <> role.oid AND pg_has_role(role.oid, other.oid, 'MEMBER')
    UNION ALL SELECT format('G20 %s has %s on %s', role.rolname, privilege, name)
        FROM tables, role, unnest(ARRAY['TRUNCATE', 'TRIGGER', 'REFERENCES', 'MAINTAIN']) AS privilege
        WHERE has_table_privilege(role.oid, tables.oid, privilege)
    UNION ALL SELECT format('G21 %s may call set_config, with which an injected SELECT switches tenants', role.rolname)
        FROM role WHERE has_function_privilege(role.oid, 'pg_catalog.set_config(text, text, boolean)', 'EXECUTE')
    UNION ALL SELECT format('G22 %s may create in the schema %s', role.rolname, n.nspname)
        FROM role, pg_namespace n WHERE n.nspname IN ('public', $1::text) AND has_schema_privilege(role.oid, n.oid, 'CREATE')
    UNION ALL SELECT format('G23 %s may make temporary tables, which shadow others', role.rolname)
        FROM role WHERE has_database_privilege(role.oid, current_database(), 'TEMPORARY')
    UNION ALL SELECT format('G24 no floor under %s of %s: %s', command.verb, role.rolname, t.name)
        FROM tenant_tables t, role, command
        WHERE NOT (role.rolname = 'penny_system' AND command.verb = 'SELECT' AND t.root = ANY($3::text[]))
        AND NOT EXISTS (
            SELECT 1 FROM policy p, wall
            WHERE p.table_oid = t.oid AND NOT p.polpermissive AND p.polcmd IN ('*', command.letter::"char") AND p.polroles && ARRAY[0::oid, role.oid]
            AND (p.visible = wall.expression OR NOT command.reads) AND (p.writable = wall.expression OR NOT command.writes)
        )
    UNION ALL SELECT 'G25 tenant_id has a default, which nobody means: ' || t.name
        FROM tenant_tables t JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = t.tenant
    UNION ALL SELECT 'G26 everybody has a privilege: ' || name FROM tables, aclexplode(relacl) AS granted WHERE granted.grantee = 0
)
SELECT text FROM finding ORDER BY text
