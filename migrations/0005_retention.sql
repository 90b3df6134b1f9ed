-- What is deleted, and what is kept of it: closed runs whose namespace keeps them no longer, and those that somebody wants gone.

-- Deletes closed runs that owe nobody anything; returns how many. Whose id somebody is just about to use is left for the next time, so that this waits
-- for nobody but for who brings the lists forward. A start of an id that is being deleted waits until this is over, and so do the lists.
--
-- A statement that locks rows which others change reads nothing from `history`: as one statement with many WITH, this ended Postgres 18.4 with a
-- segmentation fault, where it chose among the partitions (perform_pruning_base_step), 3 times in 130 runs of the test that deletes beside starts of
-- the same ids. In plain statements it never did in 370.
CREATE FUNCTION delete_runs(wanted_shards smallint[], wanted_run_ids uuid[], why smallint, archived_as text DEFAULT NULL) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    shards smallint[];
    run_ids uuid[];
    namespaces smallint[];
    workflow_ids text[];
    held uuid[];
BEGIN
    PERFORM FROM feed_consumer WHERE name = 'visibility' FOR NO KEY UPDATE;
    SELECT array_agg(e.shard), array_agg(e.run_id), array_agg(e.namespace), array_agg(e.workflow_id)
    INTO shards, run_ids, namespaces, workflow_ids
    FROM unnest(wanted_shards, wanted_run_ids) AS u (shard, run_id)
    JOIN execution e ON e.shard = u.shard AND e.run_id = u.run_id
    WHERE e.closed_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM outbox o WHERE o.shard = e.shard AND o.run_id = e.run_id);
    SELECT array_agg(l.run_id) INTO held
    FROM (
        SELECT c.run_id
        FROM unnest(shards, run_ids, namespaces, workflow_ids) AS f (shard, run_id, namespace, workflow_id)
        JOIN current_run c ON c.shard = f.shard AND c.namespace = f.namespace AND c.workflow_id = f.workflow_id AND c.run_id = f.run_id
        FOR UPDATE OF c SKIP LOCKED
    ) AS l;
    -- Mostly all are the latest runs of their ids. Else those stay that are, and are not held.
    IF cardinality(held) IS DISTINCT FROM cardinality(run_ids) THEN
        SELECT array_agg(f.shard), array_agg(f.run_id), array_agg(f.namespace), array_agg(f.workflow_id)
        INTO shards, run_ids, namespaces, workflow_ids
        FROM unnest(shards, run_ids, namespaces, workflow_ids) AS f (shard, run_id, namespace, workflow_id)
        WHERE f.run_id = ANY (held)
           OR NOT EXISTS (
               SELECT FROM current_run c
               WHERE c.shard = f.shard AND c.namespace = f.namespace AND c.workflow_id = f.workflow_id AND c.run_id = f.run_id);
    END IF;
    IF run_ids IS NULL THEN
        RETURN 0;
    END IF;

    INSERT INTO tombstone (namespace, reason, runs, closed_from, closed_until, events, bytes, run_id, workflow_id, span, runs_hash, run_ids, hash, archive)
    SELECT e.namespace, why, count(*), min(e.closed_at), max(e.closed_at), sum(e.history_length), coalesce(sum(e.history_bytes), 0),
           CASE WHEN count(*) = 1 THEN (array_agg(e.run_id))[1] END, CASE WHEN count(*) = 1 THEN min(e.workflow_id) END,
           int8range(min(run_milliseconds(e.run_id)), max(run_milliseconds(e.run_id)), '[]'),
           sha256(string_agg(uuid_send(e.run_id), '' ORDER BY e.run_id)),
           CASE WHEN EXISTS (SELECT FROM feed_consumer c WHERE c.name = 'seal') OR EXISTS (SELECT FROM checkpoint) THEN array_agg(e.run_id ORDER BY e.run_id) END,
           sha256(string_agg(uuid_send(e.run_id) || coalesce(h.hash, ''), '' ORDER BY e.run_id)), archived_as
    FROM unnest(shards, run_ids) AS f (shard, run_id)
    JOIN execution e ON e.shard = f.shard AND e.run_id = f.run_id
    LEFT JOIN LATERAL (
        SELECT x.hash FROM history x WHERE x.shard = e.shard AND x.run_id = e.run_id ORDER BY x.seq DESC LIMIT 1
    ) AS h ON true
    GROUP BY e.namespace;
    WITH gone AS (
        DELETE FROM visibility v USING unnest(namespaces, run_ids) AS f (namespace, run_id)
        WHERE v.namespace = f.namespace AND v.run_id = f.run_id
        RETURNING v.namespace, v.workflow_type, v.task_queue, v.status
    )
    UPDATE workflow_count w SET runs = w.runs - x.n
    FROM (SELECT g.namespace, g.workflow_type, g.task_queue, g.status, count(*) AS n FROM gone g GROUP BY 1, 2, 3, 4) AS x
    WHERE w.namespace = x.namespace AND w.workflow_type = x.workflow_type AND w.task_queue = x.task_queue AND w.status = x.status;
    DELETE FROM visibility_attribute a USING unnest(namespaces, run_ids) AS f (namespace, run_id)
    WHERE a.namespace = f.namespace AND a.run_id = f.run_id;
    DELETE FROM history h USING unnest(shards, run_ids) AS f (shard, run_id) WHERE h.shard = f.shard AND h.run_id = f.run_id;
    DELETE FROM attempt a USING unnest(shards, run_ids) AS f (shard, run_id) WHERE a.shard = f.shard AND a.run_id = f.run_id;
    DELETE FROM current_run c USING unnest(shards, run_ids, namespaces, workflow_ids) AS f (shard, run_id, namespace, workflow_id)
    WHERE c.shard = f.shard AND c.namespace = f.namespace AND c.workflow_id = f.workflow_id AND c.run_id = f.run_id;
    DELETE FROM execution e USING unnest(shards, run_ids) AS f (shard, run_id) WHERE e.shard = f.shard AND e.run_id = f.run_id;
    RETURN cardinality(run_ids);
END
$$;
COMMENT ON FUNCTION delete_runs IS 'Deletes closed runs with all that belongs to them, and notes it in "tombstone"; returns how many.';

-- The runs of a namespace that closed before a moment and that owe nobody anything, those first that closed first, behind a place in that order.
-- The moment is a parameter: no index is searched by what clock_timestamp() says, for that changes from row to row.
CREATE FUNCTION due_runs(of_namespace smallint, closed_before timestamptz, most integer,
                         after_closed timestamptz DEFAULT '-infinity', after_run uuid DEFAULT '00000000-0000-0000-0000-000000000000')
RETURNS TABLE (shard smallint, run_id uuid, closed_at timestamptz, bytes bigint)
LANGUAGE sql STABLE AS $$
    SELECT y.shard, y.run_id, y.closed_at, coalesce(y.history_bytes, 0)
    FROM visibility y
    WHERE y.namespace = of_namespace
      AND (y.closed_at, y.run_id) > (after_closed, after_run)
      AND y.closed_at < closed_before
      -- What can't go yet keeps nothing behind it from going.
      AND NOT EXISTS (SELECT FROM outbox o WHERE o.shard = y.shard AND o.run_id = y.run_id)
    ORDER BY y.closed_at, y.run_id
    LIMIT most
$$;
COMMENT ON FUNCTION due_runs IS 'Closed runs that owe nobody anything, in the order of their close.';

-- Deletes some of the runs that a namespace keeps no longer, those first that closed first: at most so many, and one at least of at most so many
-- bytes. What time it is says who asks, who has watched the clock of this server; a later time than the clock says is not believed. Of given ones only
-- those, which are archived under a name; else those behind a place, so that nobody who keeps the dead rows of what was deleted has each turn pass them
-- all. Returns how many, NULL while another process is about it, and the place of the last.
CREATE FUNCTION expire_runs(
    of_namespace smallint, time_now timestamptz, most integer, most_bytes bigint, archived uuid[] DEFAULT NULL, archived_as text DEFAULT NULL,
    after_closed timestamptz DEFAULT '-infinity', after_run uuid DEFAULT '00000000-0000-0000-0000-000000000000',
    OUT deleted integer, OUT last_closed timestamptz, OUT last_run uuid
) LANGUAGE plpgsql AS $$
DECLARE
    closed_before timestamptz;
    shards smallint[];
    run_ids uuid[];
BEGIN
    IF archived IS NULL AND (SELECT c.archives FROM cluster c) THEN
        RAISE EXCEPTION 'runs of this database are archived before they are deleted, and this process has no archive: start it with --archive, or UPDATE cluster SET archives = false' USING ERRCODE = 'CR002';
    END IF;
    -- Locks with one key are members'; (1, 0) and (1, 1) are of partitions and the feed.
    IF NOT pg_try_advisory_xact_lock(1, 2) THEN
        RETURN;
    END IF;
    -- Before it is known what is to go: who is told meanwhile that they are kept for longer is told so before or after this.
    PERFORM FROM feed_consumer WHERE name = 'visibility' FOR NO KEY UPDATE;
    SELECT least(clock_timestamp(), time_now) - n.retention INTO closed_before FROM namespace n WHERE n.id = of_namespace FOR SHARE;
    SELECT array_agg(v.shard ORDER BY v.closed_at, v.run_id), array_agg(v.run_id ORDER BY v.closed_at, v.run_id), max(v.closed_at)
    INTO shards, run_ids, last_closed
    FROM (
        SELECT x.*, sum(x.bytes) OVER (ORDER BY x.closed_at, x.run_id) - x.bytes AS bytes_before
        FROM (
            SELECT d.* FROM due_runs(of_namespace, closed_before, most, after_closed, after_run) AS d WHERE archived IS NULL
            UNION ALL
            -- By their key: what else is due may be much.
            (SELECT y.shard, y.run_id, y.closed_at, coalesce(y.history_bytes, 0)
             FROM unnest(archived) AS a (run_id)
             JOIN visibility y ON y.namespace = of_namespace AND y.run_id = a.run_id
             WHERE y.closed_at < closed_before
               AND NOT EXISTS (SELECT FROM outbox o WHERE o.shard = y.shard AND o.run_id = y.run_id)
             ORDER BY y.closed_at, y.run_id
             LIMIT most)
        ) AS x
    ) AS v
    WHERE v.bytes_before < most_bytes;
    last_run := run_ids[cardinality(run_ids)];
    deleted := CASE WHEN run_ids IS NULL THEN 0 ELSE delete_runs(shards, run_ids, 1::smallint, archived_as) END;
END
$$;
COMMENT ON FUNCTION expire_runs IS 'Deletes some of the closed runs that a namespace keeps no longer; returns how many.';
