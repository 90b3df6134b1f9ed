-- The engine's tables. The shard leads the primary key of every table that a run writes, so that the
-- same schema can be distributed; no statement joins two shards. A shard is
-- xxh3_64(namespace || 0x00 || workflow id) modulo 1,024.

CREATE TABLE namespace (
    id   smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- stands for the name in every row
    name text NOT NULL UNIQUE,                               -- what users call it
    retention interval CHECK (retention > '0')               -- how long it keeps closed runs, from their close; NULL is for ever
);
COMMENT ON TABLE namespace IS 'Workflow ids are unique inside a namespace.';
INSERT INTO namespace (name) VALUES ('default');

-- What users may search for beside what every run has. One that is deleted and declared again has another id.
CREATE TABLE search_attribute (
    namespace smallint NOT NULL REFERENCES namespace,
    name      text COLLATE "C" NOT NULL,
    type      smallint NOT NULL CHECK (type BETWEEN 1 AND 7), -- Temporal's IndexedValueType: 1 Text, 2 Keyword, 3 Int, 4 Double, 5 Bool, 6 Datetime, 7 KeywordList
    id        integer GENERATED ALWAYS AS IDENTITY UNIQUE,    -- stands for it in "visibility_attribute"
    PRIMARY KEY (namespace, name)
);
COMMENT ON TABLE search_attribute IS 'The search attributes that a namespace has declared, with their types.';

-- What all members agree on. One row; whoever changes members or a shard's owner locks it, so no two such changes cross.
--
-- The order of locks, in every transaction: a member's rows of "slot", then "cluster", then "member" and "shard_owner". What may be
-- held for as long as a batch takes comes first, so that nobody waits for it with what all members need in hand.
CREATE TABLE cluster (
    id      smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    epoch   bigint NOT NULL DEFAULT 0,                 -- grows by one with each member that joins
    version bigint NOT NULL DEFAULT 0,                 -- grows by one with each change of members or of a shard's owner
    archives boolean NOT NULL DEFAULT false,           -- no run is deleted because it is kept no longer that is not archived
    seal_refused_until timestamptz NOT NULL DEFAULT '-infinity', -- until then nothing is deleted because it is kept no longer: the sealed log is not what was signed
    archive uuid                                       -- in which archive: the name that is written in it
);
COMMENT ON TABLE cluster IS 'What the engine processes on this database agree on.';
INSERT INTO cluster DEFAULT VALUES;

-- What members show each other. Without any policy, row security shows the row to the role that owns the table and runs the engine,
-- and to no other, whatever it may select: an auditor who may read everything can't speak as a member.
CREATE TABLE member_secret (
    id     smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    secret uuid NOT NULL DEFAULT gen_random_uuid()     -- the same for all members
);
COMMENT ON TABLE member_secret IS 'What the engine processes on this database show each other.';
INSERT INTO member_secret DEFAULT VALUES;
ALTER TABLE member_secret ENABLE ROW LEVEL SECURITY;

-- The engine processes that own shards, each under a new id whenever it joins. Its advisory lock is the first half of its id;
-- the sessions to be ended with it have its id in their application_name.
CREATE TABLE member (
    id          uuid PRIMARY KEY,
    address     text NOT NULL,                    -- where it answers HTTP
    epoch       bigint NOT NULL UNIQUE,
    lease_until timestamptz NOT NULL,             -- by this database's clock; a frozen member loses it
    open_since  timestamptz NOT NULL              -- its open runs that started before have a row in "open_run"
);
COMMENT ON TABLE member IS 'The engine processes that own shards, and until when.';

-- The latest of those that were members: what each of them compares with what it was told, when it comes back.
CREATE TABLE former_member (
    id      uuid PRIMARY KEY,
    epoch   bigint NOT NULL UNIQUE,
    batches bigint[] NOT NULL, -- the last batch of each slot, from slot 0 on; 0 where there was none
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE former_member IS 'What the latest processes that are no members any more had committed.';

-- Who owns a shard. A member's shards change hands when it is fenced, or when it gives them away itself.
CREATE TABLE shard_owner (
    shard      smallint PRIMARY KEY,
    member     uuid REFERENCES member,                 -- NULL while nobody does
    open_since timestamptz DEFAULT '-infinity'         -- as the owner before left it, until the new one has folded the shard; then NULL
);
COMMENT ON TABLE shard_owner IS 'Which member owns each of the 1,024 shards.';
INSERT INTO shard_owner (shard) SELECT generate_series(0, 1023);

-- How many committer connections a member may have. It has fewer today; the others are there for more of them, and for a bench that commits beside.
CREATE FUNCTION slots_of_member() RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 8';
COMMENT ON FUNCTION slots_of_member IS 'How many rows of "slot" a member has.';

-- One row per committer connection of a member. A batch locks its row, so whoever deletes it waits for the batch under way
-- and stops every later one.
CREATE TABLE slot (
    member uuid NOT NULL,
    n      smallint NOT NULL CHECK (n >= 0 AND n < slots_of_member()), -- which committer connection
    epoch  bigint NOT NULL,
    PRIMARY KEY (member, n)
);
COMMENT ON TABLE slot IS 'The fence: what a commit must find unchanged.';

-- What was committed, batch by batch: the one source of all that follows history (lists, counters, live pages, checkpoints). A lost answer to
-- COMMIT is judged by looking here, too. A reader remembers how far it is in each slot: the batches of a slot are committed one after the
-- other, so nothing can appear behind what it has read, whatever transaction is still under way elsewhere.
CREATE SEQUENCE feed_position;
COMMENT ON SEQUENCE feed_position IS 'Numbers the batches of all slots: what a run wrote later has a greater number. Has gaps.';
CREATE TABLE feed (
    epoch    bigint NOT NULL,      -- of the member that committed it
    slot     smallint NOT NULL,    -- which committer connection
    batch    bigint NOT NULL,      -- counts in its slot, with gaps where one failed
    position bigint NOT NULL DEFAULT nextval('feed_position'),
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- A place for each row of "history" that it wrote; NULL where it wrote none.
    shards   smallint[],
    run_ids  uuid[],
    seqs     integer[],
    closes   boolean[],            -- whether it closed its run
    changed  boolean[],            -- whether the run's row in "execution" was written with it: it began, closed, or its code changed memo or search attributes
    hashes   bytea[],              -- the row's hash: the head of the run's chain, until its next row
    PRIMARY KEY (epoch, slot, batch)
) WITH (
    toast_tuple_target = 8160,                -- a batch of a hundred rows stays in the page
    autovacuum_vacuum_insert_threshold = -1,  -- rows are deleted before anybody gains from a vacuum of what was inserted
    autovacuum_analyze_scale_factor = 0.5,    -- as in "execution"
    autovacuum_vacuum_cost_limit = 2000
);
ALTER TABLE feed
    ALTER run_ids SET STORAGE EXTERNAL, ALTER hashes SET STORAGE EXTERNAL, -- what is random does not compress
    -- Nobody looks for what is in the arrays, and to count that takes seconds.
    ALTER shards SET STATISTICS 0, ALTER run_ids SET STATISTICS 0, ALTER seqs SET STATISTICS 0, ALTER changed SET STATISTICS 0,
    ALTER closes SET STATISTICS 0,
    ALTER hashes SET STATISTICS 0;
COMMENT ON TABLE feed IS 'One row per committed batch, with the rows of history that it wrote. Old ones are deleted.';

-- How far the feed was deleted: who has not read so far has missed something, and hears so.
CREATE TABLE feed_expired (
    epoch bigint NOT NULL,
    slot  smallint NOT NULL,
    batch bigint NOT NULL,  -- the last batch of the slot that was deleted
    PRIMARY KEY (epoch, slot)
);
COMMENT ON TABLE feed_expired IS 'The last deleted row of "feed", by slot.';

-- Who keeps something that is made from the feed, and how far it is: its cursor is written with what it has made. What it has not read stays.
CREATE TABLE feed_consumer (
    name    text PRIMARY KEY,
    epoch   bigint,             -- the cursor, see engine/src/store/feed/cursor.rs; NULL while all is to be made anew
    mark    bigint NOT NULL DEFAULT 0,
    epochs  bigint[] NOT NULL DEFAULT '{}',
    slots   smallint[] NOT NULL DEFAULT '{}',
    batches bigint[] NOT NULL DEFAULT '{}',
    built_namespace smallint,   -- while what was there before is read, how far that is; else NULL
    built_run_id uuid,
    builds  bigint NOT NULL DEFAULT 0, -- how often all was made anew
    CONSTRAINT cursor_is_one CHECK (cardinality(epochs) = cardinality(slots) AND cardinality(slots) = cardinality(batches)),
    CONSTRAINT built_is_one CHECK ((built_namespace IS NULL) = (built_run_id IS NULL) AND (built_run_id IS NULL OR epoch IS NOT NULL))
);
COMMENT ON TABLE feed_consumer IS 'What is made from the feed, and how far.';

-- A run as a whole. Written at start, at close, and when its code changes memo or search attributes; else never per step.
CREATE TABLE execution (
    shard          smallint NOT NULL,
    run_id         uuid NOT NULL,        -- UUIDv7: sorts by start
    namespace      smallint NOT NULL,
    workflow_id    text NOT NULL,
    workflow_type  text NOT NULL,
    task_queue     text NOT NULL,
    first_run_id   uuid NOT NULL,        -- the first run of its chain of retries and continue-as-new
    parent_run_id  uuid,                 -- the parent's run, if it is a child
    parent_workflow_id text,             -- the parent's id, if it is a child
    request_id     text NOT NULL,        -- the request that started it: a repetition finds this run
    root_run_id    uuid,                 -- the first ancestor's run, if it is a child
    root_workflow_id text,               -- the first ancestor's id, if it is a child
    started_at     timestamptz NOT NULL,
    execution_at   timestamptz,          -- when its code may begin, if that is later
    memo           text,                 -- unindexed facts, as they are now: a JSON object of payloads as in "history"
    search_attributes jsonb,             -- indexed facts, as they are now: plain values
    status         smallint NOT NULL,    -- Temporal's WorkflowExecutionStatus: 1 running, 2 completed, 3 failed, 4 canceled, 5 terminated, 6 continued as new, 7 timed out
    closed_at      timestamptz,
    history_length bigint,               -- events, known at close
    history_bytes  bigint,               -- stored bytes, known at close
    PRIMARY KEY (shard, run_id),
    CONSTRAINT closed_if_not_running CHECK ((status = 1) = (closed_at IS NULL)),
    CONSTRAINT length_if_closed CHECK ((closed_at IS NULL) = (history_length IS NULL))
) WITH (
    fillfactor = 60,                       -- with room in the page and no index on what changes, a close is heap-only
    autovacuum_analyze_scale_factor = 0.5, -- what comes is like what goes; to look after each tenth of the rows took a tenth of two cores
    autovacuum_vacuum_cost_limit = 2000    -- the usual 200, shared by three workers, vacuums less than a full load deletes
);
COMMENT ON TABLE execution IS 'One row per run; what happened in it is in "history".';
CREATE INDEX execution_by_start ON execution (namespace, run_id); -- list, newest first; takeover, those after open_since

-- Which run an id means. The primary key is what keeps a second open run from existing.
CREATE TABLE current_run (
    shard           smallint NOT NULL,
    namespace       smallint NOT NULL,
    workflow_id     text NOT NULL,
    run_id          uuid NOT NULL,  -- the latest run, open or closed
    previous_run_id uuid,           -- the run that it took the place of: an update must name the run it found
    PRIMARY KEY (shard, namespace, workflow_id)
) WITH (autovacuum_analyze_scale_factor = 0.5, autovacuum_vacuum_cost_limit = 2000); -- as in "execution"
COMMENT ON TABLE current_run IS 'The latest run of each workflow id.';

-- What happened. Append-only; one row per commit and run.
CREATE TABLE history (
    shard          smallint NOT NULL,
    run_id         uuid NOT NULL,
    seq            integer NOT NULL,   -- the row's number in its run, from 0 without gaps
    first_event_id bigint NOT NULL,    -- the first event in the row, or the next one if it holds only notes
    version        smallint NOT NULL,  -- of the stored form
    records        text NOT NULL,      -- a JSON array of events {"id","t","e"} and notes {"t","n"}; t in microseconds
    hash           bytea NOT NULL,     -- SHA-256 over this row and the hash of the row before it
    PRIMARY KEY (shard, run_id, seq),
    CONSTRAINT hash_is_sha256 CHECK (octet_length(hash) = 32)
) PARTITION BY RANGE (run_id);
COMMENT ON TABLE history IS 'The append-only log of every run, hash-chained, partitioned by the time in the run id.';
CREATE TABLE history_default PARTITION OF history DEFAULT WITH (
    autovacuum_freeze_min_age = 0,         -- what is appended does not change any more: the first vacuum that comes by freezes it
    autovacuum_analyze_scale_factor = 0.5, -- as in "execution"
    autovacuum_vacuum_cost_limit = 2000
);

-- Open runs that have been so for a while: a takeover finds them here, and those younger than member.open_since by their
-- start in "execution". So a run that is quickly over never has a row here, and no index on "execution" knows who is open.
CREATE TABLE open_run (
    shard  smallint NOT NULL,
    run_id uuid NOT NULL,
    parked boolean NOT NULL, -- only waits and is not in memory; false: the owner has it, and so must the next one
    due_at timestamptz,      -- of a parked run the earliest deadline of any kind; early is harmless, late would be a bug; NULL waits for a message
    PRIMARY KEY (shard, run_id)
);
COMMENT ON TABLE open_run IS 'Open runs that started before member.open_since, and when those are due that are not in memory.';
CREATE INDEX open_run_due ON open_run (due_at, run_id) INCLUDE (shard) WHERE parked AND due_at IS NOT NULL; -- what is due soon, in order, page by page
CREATE INDEX open_run_hot ON open_run (run_id) WHERE NOT parked;                    -- takeover: which runs are to be folded

-- Where the attempts of pending activities and workflow tasks stand, when their log does not say it: a million attempts of
-- one activity are one row that is replaced. The hash chain does not cover it; the outcome of an activity is an event, and is.
CREATE TABLE attempt (
    shard    smallint NOT NULL,
    run_id   uuid NOT NULL,
    event_id bigint NOT NULL,   -- the activity's ActivityTaskScheduled event; 0 for the run's workflow task
    version  smallint NOT NULL, -- of the stored form
    note     text NOT NULL,     -- a note as in "history": {"t","n"}, applied when the run is folded after all of its log
    PRIMARY KEY (shard, run_id, event_id)
) WITH (fillfactor = 60); -- with room in the page and no index on what changes, a replacement is heap-only
COMMENT ON TABLE attempt IS 'One row per pending activity and workflow task of which there is more to know than their log says.';

-- Closed runs that still have something to deliver to others: their result to the parent, the close policy to the children, a signal that
-- was not answered. What exactly is in their history; the row is deleted when all receivers have committed.
CREATE TABLE outbox (
    shard  smallint NOT NULL,
    run_id uuid NOT NULL,
    PRIMARY KEY (shard, run_id)
);
COMMENT ON TABLE outbox IS 'Closed runs whose deliveries to other workflows are not all committed there.';

-- A whole batch as one statement, and so as one transaction: a client that freezes leaves none of it open. The groups are arrays of
-- equal length, a place for each row; NULL where there is none. Returns the runs whose claim of their workflow id was kept.
CREATE FUNCTION commit_batch(
    slot_n smallint, member_id uuid, member_epoch bigint, batch_n bigint,
    -- "current_run": the last run that an item starts, and the run that it found there
    claim_shards smallint[], claim_namespaces smallint[], claim_workflow_ids text[], claim_run_ids uuid[], claim_previous uuid[],
    -- "execution"; "claims" name the run in "current_run" without which a row is not written
    start_shards smallint[], start_run_ids uuid[], start_namespaces smallint[], start_workflow_ids text[], start_types text[],
    start_task_queues text[], start_first_run_ids uuid[], start_parent_run_ids uuid[], start_parent_workflow_ids text[],
    start_request_ids text[], started_ats bigint[], start_claims uuid[],
    start_execution_ats bigint[], start_root_run_ids uuid[], start_root_workflow_ids text[], start_memos text[], start_search_attributes text[],
    -- "history"
    row_shards smallint[], row_run_ids uuid[], row_seqs integer[], row_first_event_ids bigint[], row_version smallint,
    row_records text[], row_hashes bytea[], row_closes boolean[], row_changed boolean[], row_claims uuid[],
    -- "execution", of those that close
    close_shards smallint[], close_run_ids uuid[], close_statuses smallint[], closed_ats bigint[], close_lengths bigint[], close_bytes bigint[],
    -- "execution", of those whose memo or search attributes change
    fact_shards smallint[], fact_run_ids uuid[], fact_memos text[], fact_search_attributes text[],
    -- "outbox"
    outbox_shards smallint[], outbox_run_ids uuid[], outbox_claims uuid[],
    -- "open_run", and those that leave it
    open_shards smallint[], open_run_ids uuid[], open_parked boolean[], open_due_ats bigint[],
    gone_shards smallint[], gone_run_ids uuid[],
    -- "attempt", and those that leave it
    attempt_shards smallint[], attempt_run_ids uuid[], attempt_event_ids bigint[], attempt_notes text[], attempt_claims uuid[],
    over_shards smallint[], over_run_ids uuid[], over_event_ids bigint[],
    -- those that leave "outbox"
    delivered_shards smallint[], delivered_run_ids uuid[]
)
RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
    kept uuid[];
    all_kept boolean := true; -- as nearly always: what the starts need is not looked up again then
BEGIN
    -- The fence: whoever deletes the row waits for this batch, and stops every later one.
    PERFORM FROM slot s
    WHERE s.member = member_id AND s.n = slot_n AND s.epoch = member_epoch
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'member % has no slot % at epoch %', member_id, slot_n, member_epoch USING ERRCODE = 'CR001';
    END IF;

    IF claim_shards IS NOT NULL THEN
        -- A second run of the same id is stopped here: the row must be absent, or mean the run that the owner knows.
        WITH claimed AS (
            INSERT INTO current_run AS c (shard, namespace, workflow_id, run_id, previous_run_id)
            SELECT * FROM unnest(claim_shards, claim_namespaces, claim_workflow_ids, claim_run_ids, claim_previous)
            ON CONFLICT (shard, namespace, workflow_id) DO UPDATE
            SET run_id = EXCLUDED.run_id, previous_run_id = EXCLUDED.previous_run_id
            WHERE c.run_id = EXCLUDED.previous_run_id
            RETURNING c.run_id
        )
        SELECT array_agg(run_id) INTO kept FROM claimed;
        all_kept := coalesce(cardinality(kept), 0) = cardinality(claim_run_ids);
        -- What belongs to a start that lost its id is filtered out here, and below by the absence of this row. Not by EXISTS:
        -- planned while the table is small, that becomes a hash of the whole table, and stays one.
        INSERT INTO execution (shard, run_id, namespace, workflow_id, workflow_type, task_queue, first_run_id,
                               parent_run_id, parent_workflow_id, request_id, root_run_id, root_workflow_id, started_at, execution_at,
                               memo, search_attributes, status)
        SELECT u.shard, u.run_id, u.namespace, u.workflow_id, u.workflow_type, u.task_queue, u.first_run_id,
               u.parent_run_id, u.parent_workflow_id, u.request_id, u.root_run_id, u.root_workflow_id,
               timestamptz 'epoch' + u.started_at * interval '1 microsecond', timestamptz 'epoch' + u.execution_at * interval '1 microsecond',
               u.memo, u.search_attributes::jsonb, 1
        FROM unnest(start_shards, start_run_ids, start_namespaces, start_workflow_ids, start_types, start_task_queues,
                    start_first_run_ids, start_parent_run_ids, start_parent_workflow_ids, start_request_ids, started_ats, start_claims,
                    start_execution_ats, start_root_run_ids, start_root_workflow_ids, start_memos, start_search_attributes)
             AS u (shard, run_id, namespace, workflow_id, workflow_type, task_queue, first_run_id,
                   parent_run_id, parent_workflow_id, request_id, started_at, claim,
                   execution_at, root_run_id, root_workflow_id, memo, search_attributes)
        WHERE all_kept OR (
            SELECT c.run_id = u.claim FROM current_run c
            WHERE c.shard = u.shard AND c.namespace = u.namespace AND c.workflow_id = u.workflow_id
        );
    END IF;

    IF row_shards IS NOT NULL THEN
        INSERT INTO history (shard, run_id, seq, first_event_id, version, records, hash)
        SELECT u.shard, u.run_id, u.seq, u.first_event_id, row_version, u.records, u.hash
        FROM unnest(row_shards, row_run_ids, row_seqs, row_first_event_ids, row_records, row_hashes, row_claims)
             AS u (shard, run_id, seq, first_event_id, records, hash, claim)
        WHERE all_kept OR u.claim IS NULL OR (SELECT true FROM execution e WHERE e.shard = u.shard AND e.run_id = u.claim);
    END IF;

    IF all_kept THEN
        INSERT INTO feed (epoch, slot, batch, shards, run_ids, seqs, closes, changed, hashes)
        VALUES (member_epoch, slot_n, batch_n, row_shards, row_run_ids, row_seqs, row_closes, row_changed, row_hashes);
    ELSE
        INSERT INTO feed (epoch, slot, batch, shards, run_ids, seqs, closes, changed, hashes)
        SELECT member_epoch, slot_n, batch_n, array_agg(u.shard ORDER BY u.n), array_agg(u.run_id ORDER BY u.n), array_agg(u.seq ORDER BY u.n),
               array_agg(u.closes ORDER BY u.n), array_agg(u.changed ORDER BY u.n), array_agg(u.hash ORDER BY u.n)
        FROM unnest(row_shards, row_run_ids, row_seqs, row_closes, row_changed, row_hashes, row_claims)
             WITH ORDINALITY AS u (shard, run_id, seq, closes, changed, hash, claim, n)
        WHERE u.claim IS NULL OR (SELECT true FROM execution e WHERE e.shard = u.shard AND e.run_id = u.claim);
    END IF;

    IF close_shards IS NOT NULL THEN
        UPDATE execution e
        SET status = u.status, closed_at = timestamptz 'epoch' + u.closed_at * interval '1 microsecond',
            history_length = u.history_length, history_bytes = u.history_bytes
        FROM unnest(close_shards, close_run_ids, close_statuses, closed_ats, close_lengths, close_bytes)
             AS u (shard, run_id, status, closed_at, history_length, history_bytes)
        WHERE e.shard = u.shard AND e.run_id = u.run_id;
    END IF;

    IF fact_shards IS NOT NULL THEN
        UPDATE execution e
        SET memo = u.memo, search_attributes = u.search_attributes::jsonb
        FROM unnest(fact_shards, fact_run_ids, fact_memos, fact_search_attributes) AS u (shard, run_id, memo, search_attributes)
        WHERE e.shard = u.shard AND e.run_id = u.run_id;
    END IF;

    IF outbox_shards IS NOT NULL THEN
        INSERT INTO outbox (shard, run_id)
        SELECT u.shard, u.run_id
        FROM unnest(outbox_shards, outbox_run_ids, outbox_claims) AS u (shard, run_id, claim)
        WHERE all_kept OR u.claim IS NULL OR (SELECT true FROM execution e WHERE e.shard = u.shard AND e.run_id = u.claim);
    END IF;

    IF open_shards IS NOT NULL THEN
        INSERT INTO open_run (shard, run_id, parked, due_at)
        SELECT u.shard, u.run_id, u.parked, timestamptz 'epoch' + u.due_at * interval '1 microsecond'
        FROM unnest(open_shards, open_run_ids, open_parked, open_due_ats) AS u (shard, run_id, parked, due_at)
        ON CONFLICT (shard, run_id) DO UPDATE SET parked = EXCLUDED.parked, due_at = EXCLUDED.due_at;
    END IF;

    IF gone_shards IS NOT NULL THEN
        DELETE FROM open_run o
        USING unnest(gone_shards, gone_run_ids) AS u (shard, run_id)
        WHERE o.shard = u.shard AND o.run_id = u.run_id;
    END IF;

    IF attempt_shards IS NOT NULL THEN
        INSERT INTO attempt (shard, run_id, event_id, version, note)
        SELECT u.shard, u.run_id, u.event_id, row_version, u.note
        FROM unnest(attempt_shards, attempt_run_ids, attempt_event_ids, attempt_notes, attempt_claims)
             AS u (shard, run_id, event_id, note, claim)
        WHERE all_kept OR u.claim IS NULL OR (SELECT true FROM execution e WHERE e.shard = u.shard AND e.run_id = u.claim)
        ON CONFLICT (shard, run_id, event_id) DO UPDATE SET version = EXCLUDED.version, note = EXCLUDED.note;
    END IF;

    IF over_shards IS NOT NULL THEN
        DELETE FROM attempt a
        USING unnest(over_shards, over_run_ids, over_event_ids) AS u (shard, run_id, event_id)
        WHERE a.shard = u.shard AND a.run_id = u.run_id AND a.event_id = u.event_id;
    END IF;

    IF delivered_shards IS NOT NULL THEN
        DELETE FROM outbox o
        USING unnest(delivered_shards, delivered_run_ids) AS u (shard, run_id)
        WHERE o.shard = u.shard AND o.run_id = u.run_id;
    END IF;
    RETURN kept;
END
$$;
COMMENT ON FUNCTION commit_batch IS 'Writes a batch if its process is a member still; raises CR001 otherwise.';

-- What tells a member from another one of the same epoch, which an earlier state of the database may have got since: 0 if nobody knows it.
CREATE FUNCTION mark_of(member_epoch bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT ('x' || left(m.id::text, 8))::bit(32)::bigint FROM member m WHERE m.epoch = member_epoch),
                    (SELECT ('x' || left(f.id::text, 8))::bit(32)::bigint FROM former_member f WHERE f.epoch = member_epoch), 0)
$$;
COMMENT ON FUNCTION mark_of IS 'The first 32 bits of the id of the member that had an epoch.';

-- The last batch of each slot of a member, from slot 0 on.
CREATE FUNCTION last_batches(member_epoch bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(coalesce((SELECT f.batch FROM feed f WHERE f.epoch = member_epoch AND f.slot = n
                               ORDER BY f.batch DESC LIMIT 1), 0) ORDER BY n)
    FROM generate_series(0, slots_of_member() - 1) n
$$;
COMMENT ON FUNCTION last_batches IS 'The number of the last batch of each slot of a member, by its epoch.';

-- What a process compares with what it was told: is this its database, and does it hold all of that? "batches" is NULL where nothing
-- is known of the process.
CREATE FUNCTION held_of(member_id uuid, OUT system bigint, OUT timeline bigint, OUT latest_epoch bigint, OUT batches bigint[])
LANGUAGE sql STABLE AS $$
    SELECT (SELECT system_identifier FROM pg_control_system()),
           ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint,
           c.epoch,
           coalesce((SELECT last_batches(m.epoch) FROM member m WHERE m.id = member_id),
                    (SELECT f.batches FROM former_member f WHERE f.id = member_id))
    FROM cluster c
$$;
COMMENT ON FUNCTION held_of IS 'Which database this is, and what it holds of a process that is or was a member.';

-- Waits for an advisory lock as long as the session waits for locks, and says whether it has it. Whoever waits keeps a snapshot, and with
-- that whatever a vacuum of the whole database could remove: so nobody waits for long at a time, and giving up for now is no error.
CREATE FUNCTION wait_for_lock(wanted bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_lock(wanted);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION wait_for_lock IS 'Waits for an advisory lock for as long as lock_timeout; says whether the session has it.';

-- The outcome of a batch whose answer was lost, found in one statement, and so in one transaction: a client that freezes or vanishes
-- keeps no lock. Its session is ended, and locking the slot waits for that end.
CREATE FUNCTION batch_fate(
    member_id uuid, member_epoch bigint, slot_n smallint, batch_n bigint,
    lost_session text,                                -- the application_name of the session that had the batch
    start_shards smallint[], start_run_ids uuid[],    -- what the batch was to start
    OUT system bigint, OUT timeline bigint, OUT latest_epoch bigint, OUT batches bigint[],
    OUT member boolean,     -- the process still is one
    OUT committed boolean,
    OUT conflicts uuid[]    -- of a committed batch: the starts that did not get their id
)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_terminate_backend(a.pid, 5000) -- milliseconds; the lock of the slot waits for what has not ended by then
    FROM pg_stat_activity a
    WHERE a.application_name = lost_session AND a.datname = current_database() AND a.pid <> pg_backend_pid()
      AND pg_has_role(a.usesysid, 'USAGE'); -- of another role it is a stranger's, and asking for its end would be an error
    PERFORM FROM slot s WHERE s.member = member_id AND s.n = slot_n AND s.epoch = member_epoch FOR UPDATE;
    member := FOUND;
    -- Each statement sees what was committed before it, and so what the lock has waited for.
    SELECT * INTO system, timeline, latest_epoch, batches FROM held_of(member_id);
    committed := EXISTS (SELECT FROM feed f WHERE f.epoch = member_epoch AND f.slot = slot_n AND f.batch = batch_n);
    IF committed THEN
        conflicts := ARRAY(
            SELECT u.run_id FROM unnest(start_shards, start_run_ids) AS u (shard, run_id)
            WHERE NOT EXISTS (SELECT FROM execution e WHERE e.shard = u.shard AND e.run_id = u.run_id)
        );
    END IF;
END
$$;
COMMENT ON FUNCTION batch_fate IS 'Ends the session that had a batch, and says what became of it.';

-- Deletes what is older than "kept" of each slot and read by all consumers, or older than "kept_unread", at most so many rows, and notes how far.
-- One process does so at a time. It begins where the last one ended: a snapshot that somebody holds for hours keeps in table and index what was
-- deleted, and nobody looks at that again.
CREATE FUNCTION expire_feed(kept interval, kept_unread interval, most integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    this record;
    until bigint;
    deleted bigint;
    deleted_in_all bigint := 0;
BEGIN
    -- Locks with one key are members'; (1, 0) is of who makes partitions.
    IF NOT pg_try_advisory_xact_lock(1, 1) THEN
        RETURN 0;
    END IF;
    FOR this IN
        SELECT m.epoch, s.n AS slot, coalesce(x.batch, 0) AS expired, m.last,
               -- How far the consumers are that need what is still in the slot; NULL where none does.
               (SELECT min(coalesce(c.batch, 0))
                FROM feed_consumer k
                LEFT JOIN LATERAL unnest(k.epochs, k.slots, k.batches) AS c (epoch, slot, batch) ON c.epoch = m.epoch AND c.slot = s.n
                WHERE m.epoch > k.epoch OR m.epoch = ANY (k.epochs)) AS read
        FROM (
            -- A member's last batch stays: it says what a process may compare with what it was told.
            SELECT i.epoch, NULL::bigint[] AS last FROM member i
            UNION ALL
            SELECT f.epoch, f.batches FROM former_member f
        ) AS m
        CROSS JOIN generate_series(0, slots_of_member() - 1) AS s (n)
        LEFT JOIN feed_expired x ON x.epoch = m.epoch AND x.slot = s.n
        WHERE m.last IS NULL OR m.last[s.n + 1] > coalesce(x.batch, 0)
    LOOP
        EXIT WHEN deleted_in_all >= most;
        SELECT max(f.batch) INTO until
        FROM (
            SELECT o.batch, o.at, lead(o.batch) OVER (ORDER BY o.batch) AS next
            FROM feed o
            WHERE o.epoch = this.epoch AND o.slot = this.slot AND o.batch > this.expired
            ORDER BY o.batch
            LIMIT most - deleted_in_all
        ) AS f
        WHERE f.at < clock_timestamp() - kept AND (this.read IS NULL OR f.batch <= this.read OR f.at < clock_timestamp() - kept_unread)
          AND (this.last IS NOT NULL OR f.next IS NOT NULL);
        CONTINUE WHEN until IS NULL;
        DELETE FROM feed f WHERE f.epoch = this.epoch AND f.slot = this.slot AND f.batch > this.expired AND f.batch <= until;
        GET DIAGNOSTICS deleted = ROW_COUNT;
        deleted_in_all := deleted_in_all + deleted;
        INSERT INTO feed_expired AS x (epoch, slot, batch) VALUES (this.epoch, this.slot, until)
        ON CONFLICT (epoch, slot) DO UPDATE SET batch = EXCLUDED.batch;
    END LOOP;
    -- What those have left whom nobody remembers: who has not read it hears that it has missed something.
    FOR this IN
        WITH RECURSIVE e AS (
            (SELECT f.epoch FROM feed f ORDER BY f.epoch LIMIT 1)
            UNION ALL
            SELECT (SELECT f.epoch FROM feed f WHERE f.epoch > e.epoch ORDER BY f.epoch LIMIT 1) FROM e WHERE e.epoch IS NOT NULL
        )
        SELECT e.epoch FROM e
        WHERE NOT EXISTS (SELECT FROM member m WHERE m.epoch = e.epoch) AND NOT EXISTS (SELECT FROM former_member o WHERE o.epoch = e.epoch)
    LOOP
        EXIT WHEN deleted_in_all >= most;
        DELETE FROM feed f
        WHERE f.ctid = ANY (ARRAY(SELECT x.ctid FROM feed x WHERE x.epoch = this.epoch LIMIT most - deleted_in_all));
        GET DIAGNOSTICS deleted = ROW_COUNT;
        deleted_in_all := deleted_in_all + deleted;
        DELETE FROM feed_expired x WHERE x.epoch = this.epoch;
    END LOOP;
    RETURN deleted_in_all;
END
$$;
COMMENT ON FUNCTION expire_feed IS 'Deletes old rows of "feed" that are read, at most so many; returns how many.';

-- The time in a run id, in milliseconds since 1970.
CREATE FUNCTION run_milliseconds(run_id uuid) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ('x' || left(replace(run_id::text, '-', ''), 12))::bit(48)::bigint
$$;
COMMENT ON FUNCTION run_milliseconds IS 'The time in a run id (UUIDv7), in milliseconds since 1970.';

-- A row for each time that runs were deleted together.
CREATE TABLE tombstone (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    namespace    smallint NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason       smallint NOT NULL CHECK (reason IN (1, 2)), -- 1 the namespace keeps closed runs no longer; 2 somebody asked for it
    runs         integer NOT NULL,         -- how many they were
    closed_from  timestamptz NOT NULL,     -- when the first and the last of them had closed
    closed_until timestamptz NOT NULL,
    events       bigint NOT NULL,          -- how many they had together
    bytes        bigint NOT NULL,          -- stored, together
    run_id       uuid,                     -- of a single one
    workflow_id  text,
    span         int8range,                -- when they were begun, as their ids say, in milliseconds since 1970
    runs_hash    bytea NOT NULL,           -- SHA-256 over their run ids, in order
    run_ids      uuid[],                   -- which they were, in order, as long as the sealed log names them; NULL where nothing is sealed
    hash         bytea NOT NULL,           -- SHA-256 over their run ids, each with the head of its chain, in the order of run ids
    archive      text,                     -- the object that has their histories, if they were archived
    leaf         bigint,                   -- which entry of the sealed log says so; NULL until it is sealed
    CONSTRAINT tombstone_hash_is_sha256 CHECK (octet_length(hash) = 32 AND octet_length(runs_hash) = 32)
);
-- Nobody looks for what is in the array, and to count that took 1.6 s each time.
ALTER TABLE tombstone ALTER run_ids SET STATISTICS 0;
COMMENT ON TABLE tombstone IS 'What was deleted: how many runs, when they had closed, and a hash of the heads of their chains.';
CREATE INDEX tombstone_unsealed ON tombstone (at) WHERE leaf IS NULL; -- what is to be sealed
CREATE INDEX tombstone_of_sealed_runs ON tombstone USING gist (span) WHERE run_ids IS NOT NULL; -- of which the sealed log still names runs
