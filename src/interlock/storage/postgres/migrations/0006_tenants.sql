-- phase: post
-- A row is there for its tenant alone. Each transaction says by `interlock.tenant` for whom it is, `*` for everybody; one that says nothing sees nothing.
-- Processes of before say nothing. Superusers and roles with BYPASSRLS are not held by any of it.
DO $$
DECLARE
    found TEXT;
BEGIN
    FOR found IN
        SELECT c.relname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attname = 'tenant' AND NOT a.attisdropped
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', found);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', found);
        EXECUTE format('DROP POLICY IF EXISTS of_its_tenant ON %I', found);  -- a table of a later script that went ahead has one
        EXECUTE format('CREATE POLICY of_its_tenant ON %I USING (current_setting(''interlock.tenant'', true) IN (''*'', tenant))', found);
    END LOOP;
END
$$;

-- What belongs to a tenant by the task, the batch or the record that it stands for.
ALTER TABLE signals ENABLE ROW LEVEL SECURITY;
ALTER TABLE signals FORCE ROW LEVEL SECURITY;
CREATE POLICY of_its_tenant ON signals USING (
    current_setting('interlock.tenant', true) = '*' OR EXISTS (SELECT 1 FROM tasks WHERE tasks.id = signals.task)
);

ALTER TABLE batch_lines ENABLE ROW LEVEL SECURITY;
ALTER TABLE batch_lines FORCE ROW LEVEL SECURITY;
CREATE POLICY of_its_tenant ON batch_lines USING (
    current_setting('interlock.tenant', true) = '*' OR EXISTS (SELECT 1 FROM batches WHERE batches.id = batch_lines.batch)
);

ALTER TABLE keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE keys FORCE ROW LEVEL SECURITY;
CREATE POLICY of_its_tenant ON keys USING (
    current_setting('interlock.tenant', true) IN ('*', record::jsonb ->> 'tenant')
);
