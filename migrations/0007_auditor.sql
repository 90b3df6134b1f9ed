-- What an auditor asks beside what happened: by what runs are found, how long they are kept, what was deleted, what is sealed. And who may ask.

CREATE FUNCTION search_attribute_type(number smallint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE number
        WHEN 1 THEN 'Text'
        WHEN 2 THEN 'Keyword'
        WHEN 3 THEN 'Int'
        WHEN 4 THEN 'Double'
        WHEN 5 THEN 'Bool'
        WHEN 6 THEN 'Datetime'
        WHEN 7 THEN 'KeywordList'
    END
$$;
COMMENT ON FUNCTION search_attribute_type IS 'The name of Temporal''s IndexedValueType.';

CREATE VIEW workflow_search_attribute AS
SELECT n.name AS namespace, e.workflow_id, e.run_id, a.key AS name, search_attribute_type(s.type) AS type, a.value
FROM execution e
JOIN namespace n ON n.id = e.namespace
CROSS JOIN LATERAL jsonb_each(stored_object(e.search_attributes)) AS a (key, value)
LEFT JOIN search_attribute s ON s.namespace = e.namespace AND s.name = a.key;

COMMENT ON VIEW workflow_search_attribute IS 'One row per run and search attribute, as it is now; what it was is in the history.';
COMMENT ON COLUMN workflow_search_attribute.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN workflow_search_attribute.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_search_attribute.run_id IS 'The run.';
COMMENT ON COLUMN workflow_search_attribute.name IS 'The attribute.';
COMMENT ON COLUMN workflow_search_attribute.type IS 'Text, Keyword, Int, Double, Bool, Datetime or KeywordList; NULL if the namespace declares it no more.';
COMMENT ON COLUMN workflow_search_attribute.value IS 'Its value, as JSON.';

CREATE VIEW namespace_retention AS
SELECT n.name AS namespace,
       n.retention,
       (SELECT coalesce(sum(w.runs), 0) FROM workflow_count w WHERE w.namespace = n.id AND w.status <> 1)::bigint AS closed_runs,
       (SELECT v.closed_at FROM visibility v WHERE v.namespace = n.id AND v.closed_at < 'infinity' ORDER BY v.closed_at, v.run_id LIMIT 1) AS oldest_closed_at,
       (SELECT coalesce(sum(b.runs), 0) FROM tombstone b WHERE b.namespace = n.id)::bigint AS deleted_runs
FROM namespace n;

COMMENT ON VIEW namespace_retention IS 'One row per namespace: how long it keeps closed runs, and how many there are.';
COMMENT ON COLUMN namespace_retention.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN namespace_retention.retention IS 'How long closed runs are kept, from their close; NULL is for ever.';
COMMENT ON COLUMN namespace_retention.closed_runs IS 'How many there are.';
COMMENT ON COLUMN namespace_retention.oldest_closed_at IS 'When the oldest of them closed.';
COMMENT ON COLUMN namespace_retention.deleted_runs IS 'How many were deleted, for this reason or because somebody asked for it.';

CREATE VIEW deletion AS
SELECT n.name AS namespace,
       b.at AS deleted_at,
       CASE b.reason WHEN 1 THEN 'Retention' WHEN 2 THEN 'Request' END AS reason,
       b.runs,
       b.closed_from,
       b.closed_until,
       b.events,
       b.bytes,
       b.run_id,
       b.workflow_id,
       encode(b.hash, 'hex') AS hash,
       b.leaf IS NOT NULL AS is_sealed,
       b.archive
FROM tombstone b
LEFT JOIN namespace n ON n.id = b.namespace;

COMMENT ON VIEW deletion IS 'One row for each time that runs were deleted together.';
COMMENT ON COLUMN deletion.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN deletion.deleted_at IS 'When.';
COMMENT ON COLUMN deletion.reason IS 'Retention: the namespace keeps closed runs no longer. Request: somebody asked for it.';
COMMENT ON COLUMN deletion.runs IS 'How many they were.';
COMMENT ON COLUMN deletion.closed_from IS 'When the first of them had closed.';
COMMENT ON COLUMN deletion.closed_until IS 'When the last of them had.';
COMMENT ON COLUMN deletion.events IS 'How many events they had.';
COMMENT ON COLUMN deletion.bytes IS 'How many stored bytes.';
COMMENT ON COLUMN deletion.run_id IS 'The run, if it was one.';
COMMENT ON COLUMN deletion.workflow_id IS 'Its workflow.';
COMMENT ON COLUMN deletion.hash IS 'SHA-256 over their run ids, each with the head of its chain.';
COMMENT ON COLUMN deletion.is_sealed IS 'Whether the sealed log says so.';
COMMENT ON COLUMN deletion.archive IS 'The object of the archive that has their histories, if they were archived.';

CREATE VIEW sealed_checkpoint AS
SELECT c.n,
       c.at AS made_at,
       c.size AS entries,
       c.complete_until,
       encode(c.root, 'hex') AS root,
       substring(c.note FROM '\u2014 (\S+) ') || '+' ||
           encode(substring(decode(substring(c.note FROM '\u2014 \S+ ([A-Za-z0-9+/]{8})'), 'base64') FOR 4), 'hex') AS signed_by,
       substring(c.note FROM '\nnext-key (\S+)') AS next_key,
       c.note ~ '\ngap\n' AS has_gap,
       substring(c.note FROM '\nreplaces (\S+)')::uuid AS replaces
FROM checkpoint c;

COMMENT ON VIEW sealed_checkpoint IS 'One row per signed state of the sealed log. Whether the signature is right says "coreason audit verify --key".';
COMMENT ON COLUMN sealed_checkpoint.n IS 'Its number, from 0.';
COMMENT ON COLUMN sealed_checkpoint.made_at IS 'When it was made.';
COMMENT ON COLUMN sealed_checkpoint.entries IS 'How many entries the log had.';
COMMENT ON COLUMN sealed_checkpoint.complete_until IS 'What was committed before is in it; NULL where the log was behind.';
COMMENT ON COLUMN sealed_checkpoint.root IS 'The root of the Merkle tree over them.';
COMMENT ON COLUMN sealed_checkpoint.signed_by IS 'The name and id of the key that signed it: as its public key begins.';
COMMENT ON COLUMN sealed_checkpoint.next_key IS 'The key that signs from then on, where another one took over.';
COMMENT ON COLUMN sealed_checkpoint.has_gap IS 'Whether something that was committed before may be missing.';
COMMENT ON COLUMN sealed_checkpoint.replaces IS 'The log in whose place this one was begun, in its first checkpoint.';

CREATE VIEW sealed_run AS
SELECT u.id AS run_id,
       r.row AS seq,
       u.seq < 0 AS is_closed,
       encode(u.hash, 'hex') AS hash,
       256 * t.n + u.place - 1 AS entry,
       c.n AS checkpoint,
       c.at AS sealed_at,
       t.span
FROM seal_tile t
CROSS JOIN LATERAL unnest(t.ids, t.seqs, t.hashes) WITH ORDINALITY AS u (id, seq, hash, place)
CROSS JOIN LATERAL sealed_row(u.seq) AS r (row)
CROSS JOIN LATERAL (
    SELECT x.n, x.at FROM checkpoint x WHERE x.size > 256 * t.n + u.place - 1 ORDER BY x.size, x.n LIMIT 1
) AS c
WHERE r.row IS NOT NULL;

COMMENT ON VIEW sealed_run IS 'One row for each time that a run was sealed, as long as it or others of its tile are not deleted.';
COMMENT ON COLUMN sealed_run.run_id IS 'The run.';
COMMENT ON COLUMN sealed_run.seq IS 'The last row of its history by then.';
COMMENT ON COLUMN sealed_run.is_closed IS 'Whether that row closes the run: there is none behind it.';
COMMENT ON COLUMN sealed_run.hash IS 'That row''s hash, the head of the chain.';
COMMENT ON COLUMN sealed_run.entry IS 'The place in the log, from 0.';
COMMENT ON COLUMN sealed_run.checkpoint IS 'The first checkpoint that has it.';
COMMENT ON COLUMN sealed_run.sealed_at IS 'When that was made.';
COMMENT ON COLUMN sealed_run.span IS 'When the runs of its tile were begun: who looks for one finds it quickly by "span @> run_milliseconds(run_id)".';

-- Who may read all of it and change nothing.

CREATE FUNCTION grant_audit(to_role text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), to_role);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', current_schema(), to_role);
    EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I', current_schema(), to_role);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT ON TABLES TO %I', current_schema(), to_role);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT ON SEQUENCES TO %I', current_schema(), to_role);
    EXECUTE format('REVOKE ALL ON member_secret FROM %I', to_role);
END
$$;
COMMENT ON FUNCTION grant_audit IS 'Lets a role read everything but secrets: what an auditor needs.';
REVOKE EXECUTE ON FUNCTION grant_audit FROM PUBLIC;

-- Roles belong to the whole server. Where this one may make none, and nobody has, whoever may does so and calls grant_audit.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'coreason_auditor') THEN
        IF NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
            RETURN;
        END IF;
        BEGIN
            CREATE ROLE coreason_auditor NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- Another database was migrated at the same moment.
        END;
    END IF;
    PERFORM grant_audit('coreason_auditor');
END
$$;
