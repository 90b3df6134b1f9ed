-- The engine's tables. The shard leads the primary key of every table that a run writes, so that the
-- same schema can be distributed; no statement joins two shards. A shard is
-- xxh3_64(namespace || 0x00 || workflow id) modulo 1,024.

CREATE TABLE namespace (
    id   smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- stands for the name in every row
    name text NOT NULL UNIQUE                                -- what users call it
);
COMMENT ON TABLE namespace IS 'Workflow ids are unique inside a namespace.';
INSERT INTO namespace (name) VALUES ('default');

-- Who may write. One row; the fence itself is in "slot".
CREATE TABLE ownership (
    id          smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    epoch       bigint NOT NULL DEFAULT 0,        -- grows by one with each takeover
    owner       uuid,                             -- the engine process that owns the shards; NULL before the first
    address     text NOT NULL DEFAULT '',         -- where that process answers HTTP, for those sent elsewhere
    lease_until timestamptz NOT NULL DEFAULT '-infinity', -- by this database's clock; a frozen owner loses it
    open_since  timestamptz NOT NULL DEFAULT '-infinity', -- open runs that started before have a row in "open_run"
    backends    integer[] NOT NULL DEFAULT '{}'   -- the owner's backend pids: ended by the taker before it locks slots
);
COMMENT ON TABLE ownership IS 'Which engine process owns the shards, and until when.';
INSERT INTO ownership DEFAULT VALUES;

-- One row per committer connection. A batch locks its row, so a taker that changes it waits for
-- the batch under way and stops every later one.
CREATE TABLE slot (
    n     smallint PRIMARY KEY,  -- which committer connection
    owner uuid,                  -- the process that may commit through it
    epoch bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE slot IS 'The fence: what a commit must find unchanged.';
INSERT INTO slot (n) SELECT generate_series(0, 7);

-- The numbers of committed batches: a lost answer to COMMIT is judged by looking here. Old ones are deleted.
CREATE TABLE batch_log (
    slot  smallint NOT NULL,
    epoch bigint NOT NULL,
    batch bigint NOT NULL,
    PRIMARY KEY (slot, epoch, batch)
);
COMMENT ON TABLE batch_log IS 'The numbers of the latest committed batches, per slot and epoch.';

CREATE FUNCTION fence(slot_n smallint, expected_owner uuid, expected_epoch bigint, batch bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found_owner uuid;
    found_epoch bigint;
BEGIN
    SELECT s.owner, s.epoch INTO found_owner, found_epoch
    FROM slot s
    WHERE s.n = slot_n
    FOR NO KEY UPDATE;
    IF found_owner IS DISTINCT FROM expected_owner OR found_epoch IS DISTINCT FROM expected_epoch THEN
        RAISE EXCEPTION 'slot % belongs to owner % at epoch %, not to % at %',
            slot_n, found_owner, found_epoch, expected_owner, expected_epoch
            USING ERRCODE = 'CR001';
    END IF;
    INSERT INTO batch_log (slot, epoch, batch) VALUES (slot_n, expected_epoch, fence.batch);
END
$$;
COMMENT ON FUNCTION fence IS 'Lets a batch commit only while its process owns the slot; raises CR001 otherwise.';

-- A run as a whole. Written at start and at close, never per step.
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
    started_at     timestamptz NOT NULL,
    status         smallint NOT NULL,    -- Temporal's WorkflowExecutionStatus: 1 running, 2 completed, 3 failed, 4 canceled, 5 terminated, 6 continued as new, 7 timed out
    closed_at      timestamptz,
    history_length bigint,               -- events, known at close
    PRIMARY KEY (shard, run_id),
    CONSTRAINT closed_if_not_running CHECK ((status = 1) = (closed_at IS NULL)),
    CONSTRAINT length_if_closed CHECK ((closed_at IS NULL) = (history_length IS NULL))
) WITH (fillfactor = 60); -- with room in the page and no index on what changes, a close is heap-only
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
);
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
CREATE TABLE history_default PARTITION OF history DEFAULT;

-- Open runs that have been so for a while: a takeover finds them here, and those younger than ownership.open_since by their
-- start in "execution". So a run that is quickly over never has a row here, and no index on "execution" knows who is open.
CREATE TABLE open_run (
    shard  smallint NOT NULL,
    run_id uuid NOT NULL,
    parked boolean NOT NULL, -- only waits and is not in memory; false: the owner has it, and so must the next one
    due_at timestamptz,      -- of a parked run the earliest deadline of any kind; early is harmless, late would be a bug; NULL waits for a message
    PRIMARY KEY (shard, run_id)
);
COMMENT ON TABLE open_run IS 'Open runs that started before ownership.open_since, and when those are due that are not in memory.';
CREATE INDEX open_run_due ON open_run (due_at) WHERE parked AND due_at IS NOT NULL; -- the sweep for what is due soon
CREATE INDEX open_run_hot ON open_run (run_id) WHERE NOT parked;                    -- takeover: which runs are to be folded

-- Closed runs that still owe others something: their result to the parent, the close policy to the children, a signal that
-- was not answered. What exactly is in their history; the row is deleted when all receivers have committed.
CREATE TABLE outbox (
    shard  smallint NOT NULL,
    run_id uuid NOT NULL,
    PRIMARY KEY (shard, run_id)
);
COMMENT ON TABLE outbox IS 'Closed runs whose deliveries to other workflows are not all committed there.';
