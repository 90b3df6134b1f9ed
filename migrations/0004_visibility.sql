-- Lists of runs: a projection of "execution" by the feed, with the indexes that questions need, so that no commit pays for them. All of it can be
-- dropped and made anew (`coreason visibility rebuild`).

CREATE TABLE visibility (
    namespace     smallint NOT NULL,
    run_id        uuid NOT NULL,                    -- UUIDv7: sorts by start
    shard         smallint NOT NULL,
    workflow_id   text COLLATE "C" NOT NULL,        -- by bytes, so that a prefix is a range
    workflow_type text COLLATE "C" NOT NULL,
    task_queue    text COLLATE "C" NOT NULL,
    status        smallint NOT NULL,                -- as in "execution"
    started_at    timestamptz NOT NULL,
    execution_at  timestamptz NOT NULL,             -- when its code may begin
    closed_at     timestamptz NOT NULL,             -- infinity while it is open
    duration      bigint,                           -- microseconds from when its code may begin to its close; NULL while it is open
    history_length bigint,                          -- events; NULL while it is open
    history_bytes bigint,                           -- stored bytes; NULL while it is open
    parent_workflow_id text COLLATE "C",            -- NULL if it is no child
    parent_run_id uuid,
    root_workflow_id text COLLATE "C",              -- the first ancestor's; NULL if it is no child
    root_run_id   uuid,
    attributes    uuid,                             -- the first half of SHA-256 of its search attributes and of the ids of those that are declared, as "visibility_attribute" has them; NULL if it never had one
    PRIMARY KEY (namespace, run_id)
) WITH (autovacuum_analyze_scale_factor = 0.5, autovacuum_vacuum_cost_limit = 2000); -- as in "execution"
COMMENT ON TABLE visibility IS 'One row per run, for lists; made from "execution" by the feed.';
-- Each ends in the order of lists, so that a page is the beginning of what an index has.
CREATE INDEX visibility_by_status ON visibility (namespace, status, run_id);
CREATE INDEX visibility_by_type ON visibility (namespace, workflow_type, run_id);
CREATE INDEX visibility_by_queue ON visibility (namespace, task_queue, run_id);
CREATE INDEX visibility_by_id ON visibility (namespace, workflow_id, run_id);
CREATE INDEX visibility_by_close ON visibility (namespace, closed_at, run_id); -- of those that are open as well: they are the first
CREATE INDEX visibility_by_duration ON visibility (namespace, duration, run_id) WHERE duration IS NOT NULL;
CREATE INDEX visibility_by_parent ON visibility (namespace, parent_workflow_id, run_id) WHERE parent_workflow_id IS NOT NULL;
CREATE INDEX visibility_by_root ON visibility (namespace, root_workflow_id, run_id) WHERE root_workflow_id IS NOT NULL;

-- A few are much longer than the others, and those are asked for: with the usual hundred steps the server takes them for many.
ALTER TABLE visibility ALTER duration SET STATISTICS 1000;

-- The values of search attributes, a row each: those of a KeywordList and the words of a Text have several.
CREATE TABLE visibility_attribute (
    namespace smallint NOT NULL,
    attribute integer NOT NULL,        -- search_attribute.id
    run_id    uuid NOT NULL,
    keyword   text COLLATE "C",        -- of a Keyword; one of a KeywordList; a word of a Text
    number    numeric,                 -- of an Int or a Double; of a Bool 0 or 1; of a Datetime the microseconds since 1970
    CONSTRAINT one_value CHECK ((keyword IS NULL) <> (number IS NULL))
) WITH (autovacuum_vacuum_cost_limit = 2000); -- as in "execution"
COMMENT ON TABLE visibility_attribute IS 'The values of search attributes, for lists; made from "execution" by the feed.';
CREATE UNIQUE INDEX visibility_attribute_by_keyword ON visibility_attribute (namespace, attribute, keyword, run_id) WHERE keyword IS NOT NULL;
CREATE UNIQUE INDEX visibility_attribute_by_number ON visibility_attribute (namespace, attribute, number, run_id) WHERE number IS NOT NULL;
CREATE INDEX visibility_attribute_by_run ON visibility_attribute (namespace, run_id, attribute);
-- How often a value occurs depends on whose it is.
CREATE STATISTICS visibility_attribute_keywords (mcv, ndistinct) ON attribute, keyword FROM visibility_attribute;
CREATE STATISTICS visibility_attribute_numbers (mcv, ndistinct) ON attribute, number FROM visibility_attribute;

-- Deletes some of the values of search attributes whose declaration was taken back; returns how many. Of others it looks at one each.
CREATE FUNCTION forget_attributes(most integer) RETURNS bigint LANGUAGE sql AS $$
    -- As all who write here do first.
    SELECT FROM feed_consumer WHERE name = 'visibility' FOR NO KEY UPDATE;
    -- Each that is there, from one to the next, by the indexes.
    WITH RECURSIVE used (namespace, attribute) AS (
        SELECT (-32768)::smallint, 0
        UNION ALL
        SELECT n.namespace, n.attribute FROM used u CROSS JOIN LATERAL (
            (SELECT a.namespace, a.attribute FROM visibility_attribute a
             WHERE a.keyword IS NOT NULL AND (a.namespace, a.attribute) > (u.namespace, u.attribute)
             ORDER BY a.namespace, a.attribute LIMIT 1)
            UNION ALL
            (SELECT a.namespace, a.attribute FROM visibility_attribute a
             WHERE a.number IS NOT NULL AND (a.namespace, a.attribute) > (u.namespace, u.attribute)
             ORDER BY a.namespace, a.attribute LIMIT 1)
            ORDER BY namespace, attribute LIMIT 1
        ) AS n
    ),
    forgotten AS (
        SELECT u.namespace, u.attribute FROM used u
        WHERE NOT EXISTS (SELECT FROM search_attribute s WHERE s.id = u.attribute)
    ),
    deleted AS (
        DELETE FROM visibility_attribute v
        WHERE v.ctid = ANY (ARRAY(
            SELECT a.ctid FROM forgotten f
            JOIN visibility_attribute a ON a.namespace = f.namespace AND a.attribute = f.attribute AND a.keyword IS NOT NULL
            UNION ALL
            SELECT a.ctid FROM forgotten f
            JOIN visibility_attribute a ON a.namespace = f.namespace AND a.attribute = f.attribute AND a.number IS NOT NULL
            LIMIT most))
        RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;
COMMENT ON FUNCTION forget_attributes IS 'Deletes some of the values of search attributes whose declaration was taken back.';

-- How many runs there are, kept with "visibility" and never counted from it.
CREATE TABLE workflow_count (
    namespace     smallint NOT NULL,
    workflow_type text COLLATE "C" NOT NULL,
    task_queue    text COLLATE "C" NOT NULL,
    status        smallint NOT NULL,
    runs          bigint NOT NULL,
    PRIMARY KEY (namespace, workflow_type, task_queue, status)
) WITH (fillfactor = 60); -- with room in the page and no index on what changes, a change is heap-only
COMMENT ON TABLE workflow_count IS 'How many runs each namespace has, by type, queue and status.';

-- How many runs began and ended lately, in steps of ten seconds of the time at which they did.
CREATE TABLE workflow_rate (
    at            timestamptz NOT NULL,      -- the beginning of the step
    namespace     smallint NOT NULL,
    workflow_type text COLLATE "C" NOT NULL,
    task_queue    text COLLATE "C" NOT NULL,
    status        smallint NOT NULL,         -- 1 those that began; else those that ended so
    runs          bigint NOT NULL,
    PRIMARY KEY (at, namespace, workflow_type, task_queue, status)
) WITH (fillfactor = 60);
COMMENT ON TABLE workflow_rate IS 'How many runs of each namespace began, and ended in which status, in the last hour.';

INSERT INTO feed_consumer (name) VALUES ('visibility');

-- Brings "visibility" and what belongs to it in line with "execution", for some runs, each named once. Returns those whose search attributes have
-- changed: whose rows of "visibility_attribute" the caller makes anew.
CREATE FUNCTION project_visibility(changed_shards smallint[], changed_run_ids uuid[])
RETURNS TABLE (namespace smallint, run_id uuid, search_attributes text) LANGUAGE sql AS $$
    WITH present AS MATERIALIZED (
        SELECT e.*,
               CASE WHEN e.search_attributes IS NOT NULL
                    -- One that was taken back and declared again is another one, also where its value is the same.
                    THEN encode(substr(sha256(convert_to(e.search_attributes::text || coalesce(
                             (SELECT string_agg(s.id::text, ',' ORDER BY s.id)
                              FROM search_attribute s
                              WHERE s.namespace = e.namespace AND e.search_attributes ? s.name), ''), 'UTF8')), 1, 16), 'hex')::uuid
               END AS attributes,
               v.status AS status_before, v.attributes AS attributes_before
        FROM unnest(changed_shards, changed_run_ids) AS c (shard, run_id)
        JOIN execution e ON e.shard = c.shard AND e.run_id = c.run_id
        LEFT JOIN visibility v ON v.namespace = e.namespace AND v.run_id = e.run_id
    ),
    written AS (
        INSERT INTO visibility AS v (namespace, run_id, shard, workflow_id, workflow_type, task_queue, status, started_at, execution_at,
                                     closed_at, duration, history_length, history_bytes, parent_workflow_id, parent_run_id,
                                     root_workflow_id, root_run_id, attributes)
        SELECT p.namespace, p.run_id, p.shard, p.workflow_id, p.workflow_type, p.task_queue, p.status, p.started_at,
               coalesce(p.execution_at, p.started_at), coalesce(p.closed_at, 'infinity'),
               CASE WHEN p.closed_at IS NOT NULL
                    THEN greatest((extract(epoch FROM p.closed_at - coalesce(p.execution_at, p.started_at)) * 1000000)::bigint, 0) END,
               p.history_length, p.history_bytes, p.parent_workflow_id, p.parent_run_id, p.root_workflow_id, p.root_run_id, p.attributes
        FROM present p
        WHERE p.status_before IS DISTINCT FROM p.status OR p.attributes_before IS DISTINCT FROM p.attributes
        ON CONFLICT ON CONSTRAINT visibility_pkey DO UPDATE
        SET status = EXCLUDED.status, closed_at = EXCLUDED.closed_at, duration = EXCLUDED.duration,
            history_length = EXCLUDED.history_length, history_bytes = EXCLUDED.history_bytes, attributes = EXCLUDED.attributes
    ),
    counted AS (
        INSERT INTO workflow_count AS w (namespace, workflow_type, task_queue, status, runs)
        SELECT x.namespace, x.workflow_type, x.task_queue, x.status, sum(x.n)
        FROM (
            SELECT p.namespace, p.workflow_type, p.task_queue, p.status, 1 AS n FROM present p
            UNION ALL
            SELECT p.namespace, p.workflow_type, p.task_queue, p.status_before, -1 FROM present p WHERE p.status_before IS NOT NULL
        ) AS x
        GROUP BY x.namespace, x.workflow_type, x.task_queue, x.status
        HAVING sum(x.n) <> 0
        ON CONFLICT ON CONSTRAINT workflow_count_pkey DO UPDATE SET runs = w.runs + EXCLUDED.runs
    ),
    rated AS (
        INSERT INTO workflow_rate AS r (at, namespace, workflow_type, task_queue, status, runs)
        SELECT date_bin('10 seconds', x.at, 'epoch'), x.namespace, x.workflow_type, x.task_queue, x.status, count(*)
        FROM (
            SELECT p.started_at AS at, p.namespace, p.workflow_type, p.task_queue, 1::smallint AS status
            FROM present p WHERE p.status_before IS NULL
            UNION ALL
            SELECT p.closed_at, p.namespace, p.workflow_type, p.task_queue, p.status
            FROM present p WHERE p.closed_at IS NOT NULL AND p.status_before IS DISTINCT FROM p.status
        ) AS x
        WHERE x.at >= clock_timestamp() - interval '1 hour'
        GROUP BY 1, 2, 3, 4, 5
        ON CONFLICT ON CONSTRAINT workflow_rate_pkey DO UPDATE SET runs = r.runs + EXCLUDED.runs
    ),
    forgotten AS (
        DELETE FROM workflow_rate f WHERE f.at < clock_timestamp() - interval '1 hour 10 seconds'
    )
    SELECT p.namespace, p.run_id, coalesce(p.search_attributes::text, '{}')
    FROM present p WHERE p.attributes_before IS DISTINCT FROM p.attributes
$$;
COMMENT ON FUNCTION project_visibility IS 'Brings the lists in line with "execution" for some runs.';
