-- The checks of what must always hold: docs/audit.md says what each one means and how long they take. One statement,
-- SELECT * FROM audit_check(), sees one snapshot, so a live engine makes no false alarms; it writes nothing, so it also runs on
-- a hot standby. Histories are decoded once, some thousand runs at a time in the order of their start, which is the order in
-- which they lie on disk. Like the views, nothing here raises on a row that cannot be read.

CREATE VIEW audit_rule AS
SELECT r.place, r.name, r.meaning
FROM (VALUES
    (1, 'ROW_UNREADABLE', 'Each row of history can be read as records, and each row of attempt as what it says. The other checks leave a run out that has such a row.'),
    (2, 'EVENT_IDS_BROKEN', 'The rows of a run are numbered from 0 and its events from 1, without gaps, and the first event is the start.'),
    (3, 'RECORD_AFTER_CLOSE', 'Nothing follows the event that closes a run.'),
    (4, 'TIME_RAN_BACK', 'No event of a run is older than one before it.'),
    (5, 'EXECUTION_DISAGREES', 'execution says of a run what its last event says: status, time of close and number of events; and what its first event says: workflow, type, queue, request, first run of its chain, parent, root, and when it started.'),
    (6, 'RUN_WITHOUT_HISTORY', 'Each run in execution has a history.'),
    (7, 'RUN_WITHOUT_EXECUTION', 'Each history belongs to a run in execution.'),
    (8, 'CURRENT_RUN_WRONG', 'current_run names the latest run of each workflow id, and that run exists.'),
    (9, 'TWO_OPEN_RUNS', 'A workflow id has at most one open run.'),
    (10, 'WORKFLOW_TASKS_OVERLAP', 'A run has at most one workflow task at a time: it is scheduled, started and ended before the next one.'),
    (11, 'ENDED_TWICE', 'An activity, timer, child, message to another workflow, Nexus operation or update starts and ends at most once.'),
    (12, 'ENDED_UNASKED', 'An activity, timer, child, message, Nexus operation or update starts and ends only after it was asked for.'),
    (13, 'TIMER_EARLY', 'No timer fires before its duration is over.'),
    (14, 'TOO_MANY_ATTEMPTS', 'No activity has more attempts than its retry policy allows; one with a single attempt is handed out once.'),
    (15, 'REQUEST_RECORDED_TWICE', 'A signal is recorded once, however often its request is sent.'),
    (16, 'CHILD_UNASKED', 'Each child was asked for by an event of its parent, which names the same workflow id.'),
    (17, 'CHILD_STARTED_TWICE', 'One event of a parent starts at most one child.'),
    (18, 'LISTED_CLOSED_RUN', 'Only open runs are in open_run.'),
    (19, 'PARKED_TOO_LATE', 'A parked run is due no later than its earliest timer, retry or timeout.'),
    (20, 'OPEN_RUN_UNLISTED', 'An open run that started before its owner''s open_since is in open_run, or a takeover would not find it.'),
    (21, 'OUTBOX_OF_OPEN_RUN', 'Only closed runs are in the outbox.'),
    (22, 'ATTEMPT_LEFT_OVER', 'A row of attempt is of an activity of an open run that has not ended, or of its workflow task that failed.')
) AS r (place, name, meaning);
COMMENT ON VIEW audit_rule IS 'What audit_check() checks: one row per rule that must always hold.';
COMMENT ON COLUMN audit_rule.place IS 'The order in which they are shown.';
COMMENT ON COLUMN audit_rule.name IS 'The stable name of a breach.';
COMMENT ON COLUMN audit_rule.meaning IS 'What must hold.';

CREATE VIEW audit_record_type AS
SELECT t.type, t.subject, t.role, t.reference, t.status
FROM (VALUES
    ('WorkflowExecutionStarted', 'run', 'open', NULL, NULL),
    ('WorkflowExecutionCompleted', 'run', 'close', NULL, 2),
    ('WorkflowExecutionFailed', 'run', 'close', NULL, 3),
    ('WorkflowExecutionCanceled', 'run', 'close', NULL, 4),
    ('WorkflowExecutionTerminated', 'run', 'close', NULL, 5),
    ('WorkflowExecutionContinuedAsNew', 'run', 'close', NULL, 6),
    ('WorkflowExecutionTimedOut', 'run', 'close', NULL, 7),
    ('WorkflowTaskScheduled', 'workflow task', 'open', NULL, NULL),
    ('WorkflowTaskStarted', 'workflow task', 'start', 'scheduled_event_id', NULL),
    ('WorkflowTaskCompleted', 'workflow task', 'close', 'scheduled_event_id', NULL),
    ('WorkflowTaskFailed', 'workflow task', 'close', 'scheduled_event_id', NULL),
    ('WorkflowTaskTimedOut', 'workflow task', 'close', 'scheduled_event_id', NULL),
    ('ActivityTaskScheduled', 'activity', 'open', NULL, NULL),
    ('ActivityTaskStarted', 'activity', 'start', 'scheduled_event_id', NULL),
    ('ActivityTaskCompleted', 'activity', 'close', 'scheduled_event_id', NULL),
    ('ActivityTaskFailed', 'activity', 'close', 'scheduled_event_id', NULL),
    ('ActivityTaskTimedOut', 'activity', 'close', 'scheduled_event_id', NULL),
    ('ActivityTaskCanceled', 'activity', 'close', 'scheduled_event_id', NULL),
    ('ActivityTaskCancelRequested', 'activity', 'note', 'scheduled_event_id', NULL),
    ('ActivityAttemptStarted', 'activity', 'note', 'scheduled_event_id', NULL),
    ('TimerStarted', 'timer', 'open', NULL, NULL),
    ('TimerFired', 'timer', 'close', 'started_event_id', NULL),
    ('TimerCanceled', 'timer', 'close', 'started_event_id', NULL),
    ('StartChildWorkflowExecutionInitiated', 'child', 'open', NULL, NULL),
    ('StartChildWorkflowExecutionFailed', 'child', 'close', 'initiated_event_id', NULL),
    ('ChildWorkflowExecutionStarted', 'child', 'start', 'initiated_event_id', NULL),
    ('ChildWorkflowExecutionCompleted', 'child', 'close', 'initiated_event_id', NULL),
    ('ChildWorkflowExecutionFailed', 'child', 'close', 'initiated_event_id', NULL),
    ('ChildWorkflowExecutionCanceled', 'child', 'close', 'initiated_event_id', NULL),
    ('ChildWorkflowExecutionTimedOut', 'child', 'close', 'initiated_event_id', NULL),
    ('ChildWorkflowExecutionTerminated', 'child', 'close', 'initiated_event_id', NULL),
    ('SignalExternalWorkflowExecutionInitiated', 'signal to another workflow', 'open', NULL, NULL),
    ('SignalExternalWorkflowExecutionFailed', 'signal to another workflow', 'close', 'initiated_event_id', NULL),
    ('ExternalWorkflowExecutionSignaled', 'signal to another workflow', 'close', 'initiated_event_id', NULL),
    ('RequestCancelExternalWorkflowExecutionInitiated', 'cancellation of another workflow', 'open', NULL, NULL),
    ('RequestCancelExternalWorkflowExecutionFailed', 'cancellation of another workflow', 'close', 'initiated_event_id', NULL),
    ('ExternalWorkflowExecutionCancelRequested', 'cancellation of another workflow', 'close', 'initiated_event_id', NULL),
    ('NexusOperationScheduled', 'Nexus operation', 'open', NULL, NULL),
    ('NexusOperationStarted', 'Nexus operation', 'start', 'scheduled_event_id', NULL),
    ('NexusOperationCompleted', 'Nexus operation', 'close', 'scheduled_event_id', NULL),
    ('NexusOperationFailed', 'Nexus operation', 'close', 'scheduled_event_id', NULL),
    ('NexusOperationCanceled', 'Nexus operation', 'close', 'scheduled_event_id', NULL),
    ('NexusOperationTimedOut', 'Nexus operation', 'close', 'scheduled_event_id', NULL),
    ('WorkflowExecutionUpdateAccepted', 'update', 'open', NULL, NULL),
    ('WorkflowExecutionUpdateCompleted', 'update', 'close', 'accepted_event_id', NULL)
) AS t (type, subject, role, reference, status);
COMMENT ON VIEW audit_record_type IS 'What the types of events and notes mean to the checks: those that begin, start or end something.';
COMMENT ON COLUMN audit_record_type.type IS 'The type of the event or note.';
COMMENT ON COLUMN audit_record_type.subject IS 'What it is about.';
COMMENT ON COLUMN audit_record_type.role IS 'open asks for it, start says that it began, close that it ended; note is something else about it.';
COMMENT ON COLUMN audit_record_type.reference IS 'The attribute that names the event that asked for it.';
COMMENT ON COLUMN audit_record_type.status IS 'The status of a run that it closes, as in execution.';

CREATE FUNCTION stored_number(value jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- In the order of jsonb whatever is no number lies outside of this range.
    SELECT CASE WHEN value BETWEEN '0' AND '1000000000000000000' THEN value::bigint END
$$;
COMMENT ON FUNCTION stored_number IS 'A stored number that is not negative; NULL if it is none. Faster than stored_whole_number.';

CREATE FUNCTION first_run_id_of(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM least(greatest(moment, timestamptz 'epoch'), '5000-01-01')) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
COMMENT ON FUNCTION first_run_id_of IS 'The smallest run id of a moment: run ids are UUIDv7.';

-- One chunk of runs. The children are those that such runs started: arrays of the same length, keys of execution.
CREATE FUNCTION audit_runs(shards smallint[], run_ids uuid[], child_shards smallint[], child_run_ids uuid[])
RETURNS TABLE (name text, namespace smallint, workflow_id text, run_id uuid, event_id bigint, sentence text)
LANGUAGE sql STABLE AS $$
    WITH run AS MATERIALIZED (
        SELECT e.*
        FROM unnest(shards, run_ids) AS u (shard, run_id)
        -- OFFSET 0 here and below: one look into the index per run, in their order, and never a scan of the whole table.
        CROSS JOIN LATERAL (
            SELECT x.* FROM execution x WHERE x.shard = u.shard AND x.run_id = u.run_id OFFSET 0
        ) AS e
    ),
    element AS (
        SELECT r.run_id, h.seq, h.first_event_id, v.n, v.value
        FROM run r
        CROSS JOIN LATERAL (
            SELECT x.seq, x.first_event_id, x.version, x.records
            FROM history x
            WHERE x.shard = r.shard AND x.run_id = r.run_id
            OFFSET 0
        ) AS h
        LEFT JOIN LATERAL jsonb_array_elements(stored_records(h.version, h.records)) WITH ORDINALITY AS v (value, n) ON true
    ),
    -- A record is {"id", "t", "e": {TYPE: attributes}} or {"t", "n": {TYPE: attributes}}. What is taken out of a document is copied,
    -- so each step takes it once, and OFFSET 0 keeps the steps apart.
    opened AS (
        SELECT e.run_id, e.seq, e.first_event_id, e.n, e.value -> 'id' AS id, e.value -> 't' AS t, e.value ->> 'error' AS error,
               CASE WHEN e.value ? 'e' THEN 'event' ELSE 'note' END AS kind, coalesce(e.value -> 'e', e.value -> 'n') AS body
        FROM element e
        OFFSET 0
    ),
    typed AS (
        SELECT o.*,
               jsonb_object_keys(CASE WHEN jsonb_typeof(o.body) = 'object' AND o.body <> '{}' THEN o.body ELSE '{"": 0}' END) AS type
        FROM opened o
        OFFSET 0
    ),
    -- An event that is buffered while a workflow task is under way: {"n": {"Buffered": {"event": {TYPE: attributes}}}}.
    unwrapped AS (
        SELECT t.run_id, t.seq, t.first_event_id, t.n, t.id, t.t, t.error,
               CASE WHEN t.type = 'Buffered' THEN 'buffered' ELSE t.kind END AS kind,
               CASE
                   WHEN t.type = 'Buffered'
                   THEN (SELECT k.key FROM jsonb_object_keys(stored_object(t.body #> '{Buffered,event}')) AS k (key) LIMIT 1)
                   ELSE t.type
               END AS type,
               CASE WHEN t.type = 'Buffered' THEN t.body #> '{Buffered,event}' ELSE t.body END AS body
        FROM typed t
        OFFSET 0
    ),
    attributed AS (
        SELECT u.run_id, u.seq, u.first_event_id, u.n, u.id, u.t, u.kind, u.type, m.subject, m.role, m.status,
               CASE WHEN u.type = '' THEN coalesce(u.error, 'it holds something that is neither an event nor a note') END AS error,
               jsonb_extract_path(u.body, u.type, m.reference) AS reference,
               -- What is not said is 0.
               coalesce(CASE u.type
                   WHEN 'TimerStarted' THEN u.body #> '{TimerStarted,start_to_fire_timeout}'
                   WHEN 'ActivityTaskScheduled' THEN u.body #> '{ActivityTaskScheduled,retry_policy,maximum_attempts}'
                   WHEN 'ActivityTaskStarted' THEN u.body #> '{ActivityTaskStarted,attempt}'
                   WHEN 'ActivityAttemptStarted' THEN u.body #> '{ActivityAttemptStarted,attempt}'
               END, '0') AS amount,
               CASE u.type
                   WHEN 'WorkflowExecutionSignaled' THEN u.body #>> '{WorkflowExecutionSignaled,request_id}'
                   WHEN 'StartChildWorkflowExecutionInitiated' THEN u.body #>> '{StartChildWorkflowExecutionInitiated,workflow_id}'
               END AS text,
               CASE
                   WHEN u.type = 'WorkflowExecutionStarted' AND jsonb_typeof(u.body -> u.type) = 'object'
                   THEN (u.body -> u.type)
                        - '{input,header,memo,search_attributes,last_completion_result,continued_failure}'::text[]
               END AS start
        FROM unwrapped u
        LEFT JOIN audit_record_type m ON m.type = u.type
        OFFSET 0
    ),
    record AS MATERIALIZED (
        SELECT a.run_id, a.seq, a.first_event_id, a.n, stored_number(a.id) AS id, stored_number(a.t) AS t, a.kind, a.type, a.subject,
               a.role, a.status, a.error, CASE WHEN a.role = 'open' THEN stored_number(a.id) ELSE stored_number(a.reference) END AS object,
               stored_number(a.amount) AS amount, a.text, a.start
        FROM attributed a
    ),
    unreadable AS MATERIALIZED (
        SELECT r.run_id, r.seq, min(r.error) AS error FROM record r WHERE r.error IS NOT NULL GROUP BY r.run_id, r.seq
    ),
    sound AS (
        SELECT r.* FROM record r WHERE r.run_id NOT IN (SELECT u.run_id FROM unreadable u)
    ),
    counted AS (
        SELECT s.*,
               count(*) FILTER (WHERE s.kind = 'event') OVER all_before AS events_before,
               count(*) FILTER (WHERE s.kind = 'event') OVER row_before AS events_before_in_row,
               count(*) FILTER (WHERE s.kind = 'event' AND s.status IS NOT NULL) OVER all_before AS closes_before,
               max(s.t) FILTER (WHERE s.kind = 'event') OVER all_before AS latest_before
        FROM sound s
        WINDOW all_before AS (PARTITION BY s.run_id ORDER BY s.seq, s.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
               row_before AS (PARTITION BY s.run_id, s.seq ORDER BY s.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ),
    ordered AS MATERIALIZED (
        SELECT c.*, lag(c.seq) OVER place AS seq_before, lag(c.first) OVER place AS first_before
        FROM (
            -- The same in all rows, and 1, unless events are missing or too many.
            SELECT x.*, x.first_event_id - x.events_before + x.events_before_in_row AS first FROM counted x
        ) AS c
        WINDOW place AS (PARTITION BY c.run_id ORDER BY c.seq, c.n)
    ),
    last AS MATERIALIZED (
        SELECT DISTINCT ON (o.run_id) o.run_id, o.id, o.t, o.type, o.status, o.events_before + 1 AS events
        FROM ordered o
        WHERE o.kind = 'event'
        ORDER BY o.run_id, o.seq DESC, o.n DESC
    ),
    task AS (
        SELECT s.run_id, s.id, s.type, s.subject, s.role, s.object, lag(s.role) OVER place AS role_before, lag(s.object) OVER place AS object_before
        FROM sound s
        WHERE s.kind = 'event' AND (s.subject = 'workflow task' OR s.status IS NOT NULL)
        WINDOW place AS (PARTITION BY s.run_id ORDER BY s.seq, s.n)
    ),
    object AS MATERIALIZED (
        SELECT s.run_id, s.subject, s.object,
               max(s.id) FILTER (WHERE s.role = 'open') AS opened,
               count(*) FILTER (WHERE s.kind = 'event' AND s.role = 'start') AS starts,
               count(*) FILTER (WHERE s.kind = 'event' AND s.role = 'close') AS closes,
               count(*) FILTER (WHERE s.kind = 'buffered' AND s.role = 'close') AS buffered_closes,
               min(s.id) FILTER (WHERE s.kind = 'event' AND s.role <> 'open') AS earliest,
               max(s.id) FILTER (WHERE s.kind = 'event' AND s.role IN ('start', 'close')) AS latest,
               max(s.t) FILTER (WHERE s.role = 'open') AS opened_at,
               min(s.t) FILTER (WHERE s.type = 'TimerFired') AS fired_at,
               max(s.amount) FILTER (WHERE s.role = 'open') AS amount,
               max(s.amount) FILTER (WHERE s.type IN ('ActivityTaskStarted', 'ActivityAttemptStarted')) AS attempt,
               count(*) FILTER (WHERE s.type = 'ActivityAttemptStarted') AS attempts_noted,
               max(s.text) FILTER (WHERE s.role = 'open') AS child_workflow_id
        FROM sound s
        WHERE s.subject NOT IN ('run', 'workflow task')
        GROUP BY s.run_id, s.subject, s.object
    ),
    -- What is kept of attempts beside the logs.
    kept AS MATERIALIZED (
        SELECT r.run_id, r.closed_at, t.event_id, k.kept, stored_number(k.kept -> 'attempt') AS attempt,
               stored_number(k.kept -> 'next_attempt_at') AS until, stored_number(k.kept #> '{last_failure,attempt}') AS failed_attempt
        FROM run r
        CROSS JOIN LATERAL (
            SELECT x.event_id, x.version, x.note FROM attempt x WHERE x.shard = r.shard AND x.run_id = r.run_id OFFSET 0
        ) AS t
        CROSS JOIN LATERAL (SELECT stored_attempts(t.version, t.note)) AS k (kept)
    ),
    child AS MATERIALIZED (
        SELECT e.*, split_part(e.request_id, ':', 1) AS asked_by,
               CASE WHEN e.request_id ~ '^[0-9a-f-]{36}:[0-9]{1,18}$' THEN split_part(e.request_id, ':', 2)::bigint END AS asked_with
        FROM unnest(child_shards, child_run_ids) AS u (shard, run_id)
        CROSS JOIN LATERAL (
            SELECT x.* FROM execution x WHERE x.shard = u.shard AND x.run_id = u.run_id OFFSET 0
        ) AS e
    ),
    deadline AS (
        SELECT d.run_id, timestamptz 'epoch' + min(d.at) * interval '1 microsecond' AS at
        FROM (
            SELECT o.run_id, o.opened_at + o.amount * 1000 AS at
            FROM object o
            WHERE o.subject = 'timer' AND o.closes = 0 AND o.buffered_closes = 0
            UNION ALL
            SELECT k.run_id, k.until FROM kept k WHERE k.event_id > 0
            UNION ALL
            SELECT s.run_id, stored_number(s.start -> 'workflow_execution_expiration_time') FROM sound s WHERE s.start IS NOT NULL
            UNION ALL
            SELECT s.run_id, s.t + 1000 * (coalesce(stored_number(s.start -> 'first_workflow_task_backoff'), 0)
                                           + nullif(stored_number(s.start -> 'workflow_run_timeout'), 0))
            FROM sound s
            WHERE s.start IS NOT NULL
            UNION ALL
            -- The wait before the first workflow task.
            SELECT s.run_id, s.t + 1000 * stored_number(s.start -> 'first_workflow_task_backoff')
            FROM sound s
            WHERE s.start ? 'first_workflow_task_backoff' AND s.run_id NOT IN (SELECT t.run_id FROM task t)
        ) AS d
        GROUP BY d.run_id
    ),
    problem (name, run_id, event_id, sentence) AS (
        SELECT 'ROW_UNREADABLE', u.run_id, NULL::bigint, format('row %s: %s', u.seq, u.error)
        FROM unreadable u
        UNION ALL
        SELECT 'ROW_UNREADABLE', k.run_id, NULL, format('attempt says nothing of event %s', k.event_id)
        FROM kept k
        WHERE k.attempt IS NULL OR (k.event_id > 0 AND k.kept -> 'scheduled_event_id' IS DISTINCT FROM to_jsonb(k.event_id))
        UNION ALL
        SELECT 'ATTEMPT_LEFT_OVER', k.run_id, k.event_id, format('attempt %s of it is kept, and it is not pending', k.attempt)
        FROM kept k
        LEFT JOIN object o ON o.run_id = k.run_id AND o.object = k.event_id AND o.subject = 'activity'
        LEFT JOIN last l ON l.run_id = k.run_id
        WHERE k.closed_at IS NULL AND k.attempt IS NOT NULL AND k.run_id NOT IN (SELECT u.run_id FROM unreadable u)
          AND NOT CASE
              WHEN k.event_id > 0 THEN coalesce(o.opened IS NOT NULL AND o.closes = 0 AND o.buffered_closes = 0, false)
              ELSE coalesce(l.type IN ('WorkflowTaskFailed', 'WorkflowTaskTimedOut'), false)
          END
        UNION ALL
        SELECT 'EVENT_IDS_BROKEN', o.run_id, o.id,
               CASE
                   WHEN o.n = 1 AND o.seq <> coalesce(o.seq_before + 1, 0)
                   THEN format('row %s stands where row %s comes next', o.seq, coalesce(o.seq_before + 1, 0))
                   WHEN o.n = 1 AND o.first <> coalesce(o.first_before, 1)
                   THEN format('row %s begins with event %s, where event %s comes next', o.seq, o.first_event_id,
                               o.first_event_id - o.first + coalesce(o.first_before, 1))
                   WHEN o.kind = 'event' AND o.id IS DISTINCT FROM o.first_event_id + o.events_before_in_row
                   THEN format('event %s stands where event %s comes next', o.id, o.first_event_id + o.events_before_in_row)
                   ELSE format('%s is the %s. event', o.type, o.events_before + 1)
               END
        FROM ordered o
        WHERE (o.n = 1 AND (o.seq <> coalesce(o.seq_before + 1, 0) OR o.first <> coalesce(o.first_before, 1)))
           OR (o.kind = 'event' AND o.id IS DISTINCT FROM o.first_event_id + o.events_before_in_row)
           OR (o.kind = 'event' AND (o.events_before = 0) <> (o.type = 'WorkflowExecutionStarted'))
        UNION ALL
        SELECT 'RECORD_AFTER_CLOSE', o.run_id, o.id, format('%s follows the close, in row %s', o.type, o.seq)
        FROM ordered o
        WHERE o.closes_before > 0
        UNION ALL
        SELECT 'TIME_RAN_BACK', o.run_id, o.id, format('%s lies %s before an event before it', o.type, (o.latest_before - o.t) * interval '1 microsecond')
        FROM ordered o
        WHERE o.kind = 'event' AND o.t < o.latest_before
        UNION ALL
        SELECT 'EXECUTION_DISAGREES', r.run_id, l.id,
               format('it is %s with %s events, closed at %s; its last of %s events is %s at %s', workflow_status(r.status),
                      coalesce(r.history_length::text, 'so far unknown'), coalesce(r.closed_at::text, 'no time'), l.events, l.type,
                      timestamptz 'epoch' + l.t * interval '1 microsecond')
        FROM run r
        JOIN last l ON l.run_id = r.run_id
        WHERE r.status <> coalesce(l.status, 1)
           OR (l.status IS NOT NULL AND (r.history_length IS DISTINCT FROM l.events
                                         OR r.closed_at IS DISTINCT FROM timestamptz 'epoch' + l.t * interval '1 microsecond'))
        UNION ALL
        SELECT 'EXECUTION_DISAGREES', r.run_id, s.id,
               (SELECT format('its %s is %s, and its start says %s', f.name, coalesce(f.kept, 'none'), coalesce(f.said, 'none'))
                FROM (VALUES
                    (1, 'workflow id', r.workflow_id, s.start ->> 'workflow_id'),
                    (2, 'type', r.workflow_type, s.start ->> 'workflow_type'),
                    (3, 'task queue', r.task_queue, s.start ->> 'task_queue'),
                    (4, 'request', q.kept, q.said),
                    (5, 'first run', r.first_run_id::text, s.start ->> 'first_execution_run_id'),
                    -- The parent's run, and a child's request: see CHILD_UNASKED.
                    (6, 'parent''s workflow id', r.parent_workflow_id, s.start #>> '{parent_workflow_execution,workflow_id}'),
                    (7, 'root', r.root_run_id::text, s.start #>> '{root_workflow_execution,run_id}'),
                    (8, 'root''s workflow id', r.root_workflow_id, s.start #>> '{root_workflow_execution,workflow_id}'),
                    (9, 'start', r.started_at::text, (timestamptz 'epoch' + s.t * interval '1 microsecond')::text),
                    (10, 'execution time', coalesce(r.execution_at, r.started_at)::text,
                     (timestamptz 'epoch' + (s.t + 1000 * coalesce(stored_number(s.start -> 'first_workflow_task_backoff'), 0)) * interval '1 microsecond')::text)
                ) AS f (place, name, kept, said)
                WHERE f.kept IS DISTINCT FROM f.said
                ORDER BY f.place LIMIT 1)
        FROM run r
        JOIN sound s ON s.run_id = r.run_id AND s.start IS NOT NULL
        CROSS JOIN LATERAL (
            SELECT CASE WHEN r.parent_run_id IS NULL OR r.first_run_id <> r.run_id THEN r.request_id END,
                   CASE WHEN r.parent_run_id IS NULL OR r.first_run_id <> r.run_id THEN s.start ->> 'request_id' END
        ) AS q (kept, said)
        -- The texts are made for those that differ alone.
        WHERE (r.workflow_id, r.workflow_type, r.task_queue, q.kept, r.first_run_id::text)
              IS DISTINCT FROM (s.start ->> 'workflow_id', s.start ->> 'workflow_type', s.start ->> 'task_queue', q.said,
                                s.start ->> 'first_execution_run_id')
           OR r.parent_workflow_id IS DISTINCT FROM s.start #>> '{parent_workflow_execution,workflow_id}'
           OR (r.root_run_id::text, r.root_workflow_id)
              IS DISTINCT FROM (s.start #>> '{root_workflow_execution,run_id}', s.start #>> '{root_workflow_execution,workflow_id}')
           OR r.started_at IS DISTINCT FROM timestamptz 'epoch' + s.t * interval '1 microsecond'
           OR coalesce(r.execution_at, r.started_at)
              IS DISTINCT FROM timestamptz 'epoch'
                               + (s.t + 1000 * coalesce(stored_number(s.start -> 'first_workflow_task_backoff'), 0)) * interval '1 microsecond'
        UNION ALL
        SELECT 'RUN_WITHOUT_HISTORY', r.run_id, NULL, 'history has no row of it'
        FROM run r
        WHERE r.run_id NOT IN (SELECT x.run_id FROM record x)
        UNION ALL
        SELECT 'WORKFLOW_TASKS_OVERLAP', t.run_id, t.id,
               CASE
                   WHEN t.subject = 'run' THEN format('%s comes while a workflow task is with a worker', t.type)
                   WHEN t.role = 'open' THEN format('%s comes while event %s is not ended', t.type, t.object_before)
                   ELSE format('%s of event %s does not follow what it must', t.type, t.object)
               END
        FROM task t
        WHERE NOT CASE
            WHEN t.subject = 'run' THEN t.role_before IS DISTINCT FROM 'start'
            WHEN t.role = 'open' THEN coalesce(t.role_before, 'close') = 'close'
            WHEN t.role = 'start' THEN coalesce(t.role_before = 'open' AND t.object_before = t.object, false)
            -- One that no worker took times out in its sticky queue.
            ELSE coalesce((t.role_before = 'start' OR (t.role_before = 'open' AND t.type = 'WorkflowTaskTimedOut'))
                          AND t.object_before = t.object, false)
        END
        UNION ALL
        SELECT 'ENDED_TWICE', o.run_id, o.latest,
               format('the %s of event %s started %s times and ended %s times', o.subject, o.object, o.starts, greatest(o.closes, o.buffered_closes))
        FROM object o
        WHERE o.starts > 1 OR o.closes > 1 OR o.buffered_closes > 1
        UNION ALL
        SELECT 'ENDED_UNASKED', o.run_id, o.earliest, format('nothing before it asks for the %s of event %s', o.subject, o.object)
        FROM object o
        WHERE o.opened IS NULL OR o.earliest < o.opened
        UNION ALL
        SELECT 'TIMER_EARLY', o.run_id, o.latest,
               format('the timer of event %s fired %s early', o.object, (o.opened_at + o.amount * 1000 - o.fired_at) * interval '1 microsecond')
        FROM object o
        WHERE o.subject = 'timer' AND o.fired_at < o.opened_at + o.amount * 1000
        UNION ALL
        SELECT 'TOO_MANY_ATTEMPTS', o.run_id, o.opened,
               format('the activity of event %s may have %s attempts; attempt %s was started, attempt %s was to be tried again, and %s starts were noted',
                      o.object, o.amount, greatest(o.attempt, k.attempt, 0), coalesce(k.failed_attempt, 0), o.attempts_noted)
        FROM object o
        LEFT JOIN kept k ON k.run_id = o.run_id AND k.event_id = o.object
        WHERE o.subject = 'activity' AND o.amount > 0
          AND (o.attempt > o.amount OR k.attempt > o.amount OR k.failed_attempt >= o.amount OR (o.amount = 1 AND o.attempts_noted > 1))
        UNION ALL
        SELECT 'REQUEST_RECORDED_TWICE', s.run_id, max(s.id), format('request %s is recorded %s times', s.text, count(*))
        FROM sound s
        WHERE s.type = 'WorkflowExecutionSignaled' AND s.text IS NOT NULL
        GROUP BY s.run_id, s.text, s.kind
        HAVING count(*) > 1
        UNION ALL
        -- What the child's own start says, against what execution says of it.
        SELECT 'CHILD_UNASKED', r.run_id, s.id,
               format('its start names event %s of run %s, and execution names request %s of run %s', s.start ->> 'parent_initiated_event_id',
                      s.start #>> '{parent_workflow_execution,run_id}', r.request_id, r.parent_run_id)
        FROM run r
        JOIN sound s ON s.run_id = r.run_id AND s.start IS NOT NULL
        WHERE s.start #>> '{parent_workflow_execution,run_id}' IS DISTINCT FROM r.parent_run_id::text
           -- Later runs of its chain have requests of their own.
           OR (r.first_run_id = r.run_id AND r.parent_run_id IS NOT NULL
               AND r.request_id <> format('%s:%s', r.parent_run_id, s.start ->> 'parent_initiated_event_id'))
        UNION ALL
        SELECT 'PARKED_TOO_LATE', p.run_id, NULL, format('it is due at %s, and something of it at %s', coalesce(p.due_at::text, 'no time'), d.at)
        FROM run r
        CROSS JOIN LATERAL (
            SELECT x.run_id, x.due_at FROM open_run x WHERE x.shard = r.shard AND x.run_id = r.run_id AND x.parked OFFSET 0
        ) AS p
        JOIN deadline d ON d.run_id = p.run_id
        WHERE r.closed_at IS NULL AND d.at < coalesce(p.due_at, 'infinity')
    )
    SELECT p.name, r.namespace, r.workflow_id, r.run_id, p.event_id, p.sentence
    FROM problem p
    JOIN run r ON r.run_id = p.run_id
    UNION ALL
    SELECT 'CHILD_UNASKED', c.namespace, c.workflow_id, c.run_id, NULL, format('run %s has no event that asks for it by request %s', c.parent_run_id, c.request_id)
    FROM child c
    LEFT JOIN object o ON o.run_id = c.parent_run_id AND o.object = c.asked_with AND o.subject = 'child' AND o.opened IS NOT NULL
    WHERE (o.run_id IS NULL OR o.child_workflow_id IS DISTINCT FROM c.workflow_id OR c.asked_by IS DISTINCT FROM c.parent_run_id::text)
      AND c.parent_run_id NOT IN (SELECT u.run_id FROM unreadable u)
      -- The parent may have been deleted before its child.
      AND (EXISTS (SELECT FROM execution p WHERE p.namespace = c.namespace AND p.run_id = c.parent_run_id)
           OR NOT EXISTS (
               SELECT FROM tombstone t
               WHERE t.namespace = c.namespace AND coalesce(t.run_id = c.parent_run_id, t.closed_until >= c.started_at)))
    UNION ALL
    SELECT 'CHILD_STARTED_TWICE', c.namespace, c.workflow_id, c.run_id, NULL, format('%s runs were started by request %s', c.runs, c.request_id)
    FROM (SELECT x.*, count(*) OVER (PARTITION BY x.parent_run_id, x.request_id) AS runs FROM child x) AS c
    WHERE c.runs > 1
$$;
COMMENT ON FUNCTION audit_runs IS 'What is wrong with some runs and with the children that they started: a part of audit_problems().';

CREATE FUNCTION audit_problems(since timestamptz DEFAULT '-infinity')
RETURNS TABLE (name text, namespace text, workflow_id text, run_id uuid, event_id bigint, sentence text)
LANGUAGE plpgsql STABLE
-- Plans for tables of any size: what is joined by a loop is said so in the statement.
SET jit = off SET enable_nestloop = off SET enable_memoize = off SET max_parallel_workers_per_gather = 0 SET work_mem = '32MB' SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    -- A chunk is full at one of these: some 5 MB of histories.
    events_max CONSTANT integer := 20000;
    runs_max CONSTANT integer := 2000;
    -- How many events an open run is taken to have.
    events_unknown CONSTANT integer := 50;
    all_runs CURSOR FOR
        SELECT e.shard, e.run_id, coalesce(e.history_length, events_unknown) AS events
        FROM execution e
        WHERE e.closed_at IS NULL OR e.closed_at >= since
           -- The parents of those that are looked at.
           OR e.run_id IN (SELECT x.parent_run_id FROM execution x WHERE x.closed_at IS NULL OR x.closed_at >= since)
        ORDER BY e.run_id;
    all_children CURSOR FOR
        SELECT e.shard, e.run_id, e.parent_run_id
        FROM execution e
        WHERE e.parent_run_id IS NOT NULL AND e.first_run_id = e.run_id AND (e.closed_at IS NULL OR e.closed_at >= since)
        ORDER BY e.parent_run_id;
    this_run record;
    this_child record;
    shards smallint[] := '{}';
    run_ids uuid[] := '{}';
    child_shards smallint[] := '{}';
    child_run_ids uuid[] := '{}';
    events bigint := 0;
BEGIN
    OPEN all_runs;
    OPEN all_children;
    FETCH all_children INTO this_child;
    LOOP
        FETCH all_runs INTO this_run;
        IF this_run.run_id IS NULL OR events >= events_max OR cardinality(run_ids) >= runs_max THEN
            RETURN QUERY
                SELECT p.name, n.name, p.workflow_id, p.run_id, p.event_id, p.sentence
                FROM audit_runs(shards, run_ids, child_shards, child_run_ids) p
                LEFT JOIN namespace n ON n.id = p.namespace;
            shards := '{}';
            run_ids := '{}';
            child_shards := '{}';
            child_run_ids := '{}';
            events := 0;
        END IF;
        -- Both come in the order of the parent's run id: a child whose parent does not exist goes with the next chunk.
        WHILE this_child.run_id IS NOT NULL AND (this_run.run_id IS NULL OR this_child.parent_run_id <= this_run.run_id) LOOP
            child_shards := child_shards || this_child.shard;
            child_run_ids := child_run_ids || this_child.run_id;
            FETCH all_children INTO this_child;
        END LOOP;
        EXIT WHEN this_run.run_id IS NULL;
        shards := shards || this_run.shard;
        run_ids := run_ids || this_run.run_id;
        events := events + this_run.events;
    END LOOP;
    CLOSE all_runs;
    CLOSE all_children;
    IF cardinality(child_run_ids) > 0 THEN
        RETURN QUERY
            SELECT p.name, n.name, p.workflow_id, p.run_id, p.event_id, p.sentence
            FROM audit_runs('{}', '{}', child_shards, child_run_ids) p
            LEFT JOIN namespace n ON n.id = p.namespace;
    END IF;

    RETURN QUERY
        SELECT 'RUN_WITHOUT_EXECUTION', NULL::text, NULL::text, h.run_id, NULL::bigint, format('%s rows in shard %s', count(*), h.shard)
        FROM history h
        WHERE h.run_id >= first_run_id_of(since)
          AND NOT EXISTS (SELECT FROM execution e WHERE e.shard = h.shard AND e.run_id = h.run_id)
        GROUP BY h.shard, h.run_id;

    RETURN QUERY
        SELECT 'CURRENT_RUN_WRONG', n.name, c.workflow_id, c.run_id, NULL::bigint, 'it names a run that does not exist, or is another workflow''s'
        FROM current_run c
        LEFT JOIN namespace n ON n.id = c.namespace
        LEFT JOIN execution e ON e.shard = c.shard AND e.run_id = c.run_id
        WHERE e.run_id IS NULL OR e.namespace <> c.namespace OR e.workflow_id <> c.workflow_id
        UNION ALL
        SELECT 'CURRENT_RUN_WRONG', n.name, e.workflow_id, e.run_id, NULL, format('the id means %s', coalesce('run ' || c.run_id, 'nothing'))
        FROM execution e
        LEFT JOIN namespace n ON n.id = e.namespace
        LEFT JOIN current_run c ON c.shard = e.shard AND c.namespace = e.namespace AND c.workflow_id = e.workflow_id
        WHERE (e.closed_at IS NULL OR e.closed_at >= since)
          -- Where the latest run of an id was deleted the id means nothing, whatever earlier ones there are.
          AND ((c.run_id IS NULL AND (e.closed_at IS NULL OR NOT EXISTS (
                    SELECT FROM tombstone t
                    WHERE t.namespace = e.namespace AND coalesce(t.workflow_id = e.workflow_id, t.closed_until >= e.closed_at))))
               -- A look into the index, for the few that come this far.
               OR (e.closed_at IS NULL AND e.run_id <> c.run_id
                   AND (SELECT r.closed_at FROM execution r WHERE r.shard = c.shard AND r.run_id = c.run_id) IS NOT NULL)
               -- The clocks of two owners that follow each other may differ a little, so a later run may have a smaller id.
               OR (e.run_id > c.run_id AND e.status <> 6 AND e.run_id IS DISTINCT FROM c.previous_run_id));

    RETURN QUERY
        SELECT 'TWO_OPEN_RUNS', n.name, o.workflow_id, o.run_id, NULL::bigint, format('it is one of %s open runs', o.runs)
        FROM (
            SELECT e.namespace, e.workflow_id, e.run_id, count(*) OVER (PARTITION BY e.shard, e.namespace, e.workflow_id) AS runs
            FROM execution e
            WHERE e.closed_at IS NULL
        ) AS o
        LEFT JOIN namespace n ON n.id = o.namespace
        WHERE o.runs > 1;

    RETURN QUERY
        SELECT x.name, n.name, e.workflow_id, x.run_id, NULL::bigint, x.sentence || coalesce(' that is ' || workflow_status(e.status), ' that does not exist')
        FROM (
            SELECT 'LISTED_CLOSED_RUN' AS name, o.shard, o.run_id, true AS open, 'open_run has a run' AS sentence FROM open_run o
            UNION ALL
            SELECT 'OUTBOX_OF_OPEN_RUN', o.shard, o.run_id, false, 'outbox has a run' FROM outbox o
            UNION ALL
            SELECT 'ATTEMPT_LEFT_OVER', t.shard, t.run_id, true, 'attempt has a run' FROM attempt t
        ) AS x
        LEFT JOIN execution e ON e.shard = x.shard AND e.run_id = x.run_id
        LEFT JOIN namespace n ON n.id = e.namespace
        WHERE e.run_id IS NULL OR x.open <> (e.closed_at IS NULL)
        UNION ALL
        SELECT 'OPEN_RUN_UNLISTED', n.name, e.workflow_id, e.run_id, NULL, format('it is open and not in open_run, which has all before %s', o.open_since)
        FROM (
            SELECT s.shard, least(s.open_since, m.open_since) AS open_since
            FROM shard_owner s
            LEFT JOIN member m ON m.id = s.member
        ) AS o
        JOIN execution e ON e.shard = o.shard AND e.closed_at IS NULL AND e.run_id < first_run_id_of(o.open_since)
        LEFT JOIN namespace n ON n.id = e.namespace
        WHERE NOT EXISTS (SELECT FROM open_run r WHERE r.shard = e.shard AND r.run_id = e.run_id);
END
$$;
COMMENT ON FUNCTION audit_problems IS 'One row per breach of a rule of audit_rule, in the runs that were open at a moment or later; in all unless told.';

CREATE FUNCTION audit_check(since timestamptz DEFAULT '-infinity', shown integer DEFAULT 10)
RETURNS TABLE (name text, problems bigint, meaning text, examples jsonb)
LANGUAGE sql STABLE SET jit = off AS $$
    WITH numbered AS (
        SELECT p.*, row_number() OVER (PARTITION BY p.name ORDER BY p.run_id, p.event_id, p.sentence) AS n
        FROM audit_problems(since) p
    ),
    found AS (
        SELECT p.name, count(*) AS problems,
               jsonb_agg(jsonb_build_object('namespace', p.namespace, 'workflowId', p.workflow_id, 'runId', p.run_id, 'eventId', p.event_id,
                                            'sentence', p.sentence) ORDER BY p.n) FILTER (WHERE p.n <= shown) AS examples
        FROM numbered p
        GROUP BY p.name
    )
    SELECT r.name, coalesce(f.problems, 0), r.meaning, coalesce(f.examples, '[]')
    FROM audit_rule r
    LEFT JOIN found f ON f.name = r.name
    ORDER BY r.place
$$;
COMMENT ON FUNCTION audit_check IS 'One row per rule that must always hold, with the number of breaches and the first of them; see audit_problems().';
