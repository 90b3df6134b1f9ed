-- The documented views of what happened: docs/audit.md tells how to ask them. They read "history" as it is stored, and
-- nothing else is written for them. What decodes a row cannot raise: a row that cannot be read shows as one record with
-- an error, so that it neither fails a query nor disappears.
--
-- All views start from "execution", so that a filter by namespace, workflow id or run id finds the key of "history".

-- Values.

CREATE FUNCTION stored_whole_number(value jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value #>> '{}' ~ '^-?[0-9]{1,18}$' THEN (value #>> '{}')::bigint END
$$;
COMMENT ON FUNCTION stored_whole_number IS 'A stored number; NULL if it is none.';

CREATE FUNCTION stored_time(value jsonb) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN value #>> '{}' ~ '^[0-9]{1,18}$'
        THEN timestamptz '1970-01-01 00:00:00+00' + (value #>> '{}')::double precision * interval '1 microsecond'
    END
$$;
COMMENT ON FUNCTION stored_time IS 'A stored moment (microseconds since 1970); NULL if it is none.';

CREATE FUNCTION stored_duration(value jsonb) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN value #>> '{}' ~ '^[0-9]{1,15}$'
        THEN (value #>> '{}')::double precision * interval '1 millisecond'
    END
$$;
COMMENT ON FUNCTION stored_duration IS 'A stored duration (milliseconds); NULL if it is none.';

CREATE FUNCTION stored_uuid(value text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN value ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN value::uuid
    END
$$;
COMMENT ON FUNCTION stored_uuid IS 'A stored run id; NULL if it is none.';

CREATE FUNCTION workflow_status(number smallint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE number
        WHEN 1 THEN 'Running'
        WHEN 2 THEN 'Completed'
        WHEN 3 THEN 'Failed'
        WHEN 4 THEN 'Canceled'
        WHEN 5 THEN 'Terminated'
        WHEN 6 THEN 'ContinuedAsNew'
        WHEN 7 THEN 'TimedOut'
    END
$$;
COMMENT ON FUNCTION workflow_status IS 'The name of Temporal''s WorkflowExecutionStatus.';

-- Rows.

CREATE FUNCTION stored_records(version smallint, records text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    decoded jsonb;
BEGIN
    IF version IS DISTINCT FROM 1 THEN
        RETURN jsonb_build_array(jsonb_build_object('error', format('stored form %s is not known to these views', version)));
    END IF;
    BEGIN
        decoded := records::jsonb;
    EXCEPTION WHEN OTHERS THEN
        -- U+0000 is legal in JSON and not in jsonb. It is shown as the replacement character. An even number of
        -- backslashes before it are backslashes of the text.
        decoded := regexp_replace(records, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::jsonb;
    END;
    IF jsonb_typeof(decoded) IS DISTINCT FROM 'array' THEN
        RETURN jsonb_build_array(jsonb_build_object('error', 'the row is not a list of records'));
    END IF;
    RETURN decoded;
EXCEPTION WHEN OTHERS THEN
    RETURN jsonb_build_array(jsonb_build_object('error', SQLERRM));
END
$$;
COMMENT ON FUNCTION stored_records IS 'The records of a row of "history" as a JSON array; one element with an error if it cannot be read.';

CREATE FUNCTION stored_object(value jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(value) = 'object' THEN value ELSE '{}' END
$$;
COMMENT ON FUNCTION stored_object IS 'The value if it is an object, and an empty one if not: what jsonb_each takes.';

-- Payloads.

CREATE FUNCTION readable_at(value jsonb, depth integer) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF depth > 100 THEN
        RETURN value;
    END IF;
    CASE jsonb_typeof(value)
        WHEN 'object' THEN
            IF value ? '$p' THEN
                RETURN value -> '$p';
            ELSIF value ? '$b' THEN
                RETURN jsonb_strip_nulls(jsonb_build_object(
                    'encoding', value -> 'enc', 'base64', value -> '$b', 'metadata', value -> 'meta'));
            ELSIF value ? '$x' THEN
                RETURN jsonb_build_object('erased', value -> '$x');
            END IF;
            RETURN (SELECT coalesce(jsonb_object_agg(o.key, readable_at(o.value, depth + 1)), '{}') FROM jsonb_each(value) AS o);
        WHEN 'array' THEN
            RETURN (SELECT coalesce(jsonb_agg(readable_at(a.value, depth + 1) ORDER BY a.n), '[]')
                    FROM jsonb_array_elements(value) WITH ORDINALITY AS a (value, n));
        ELSE
            RETURN value;
    END CASE;
END
$$;
COMMENT ON FUNCTION readable_at IS 'The recursion of readable.';

CREATE FUNCTION readable(value jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN value::text ~ '\{"\$[pbx]"' THEN readable_at(value, 0) ELSE value END
$$;
COMMENT ON FUNCTION readable IS 'The value with its payloads decoded: JSON as JSON, others as {"encoding","base64"}, erased ones as {"erased": digest}.';

CREATE FUNCTION failure_text(failure jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    WITH RECURSIVE chain (failure, depth) AS (
        SELECT failure, 1
        UNION ALL
        SELECT c.failure -> 'cause', c.depth + 1 FROM chain c WHERE jsonb_typeof(c.failure -> 'cause') = 'object' AND c.depth < 20
    )
    SELECT string_agg(coalesce(nullif(c.failure ->> 'message', ''), 'failed'), ': ' ORDER BY c.depth)
    FROM chain c
    WHERE jsonb_typeof(c.failure) = 'object'
$$;
COMMENT ON FUNCTION failure_text IS 'The messages of a failure and its causes, the outermost first.';

CREATE FUNCTION failure_type(failure jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    WITH RECURSIVE chain (failure, depth) AS (
        SELECT failure, 1
        UNION ALL
        SELECT c.failure -> 'cause', c.depth + 1 FROM chain c WHERE jsonb_typeof(c.failure -> 'cause') = 'object' AND c.depth < 20
    )
    -- The innermost one: an activity's failure wraps the one that tells.
    SELECT coalesce(
        c.failure #>> '{info,Application,type}',
        'Timeout' || (c.failure #>> '{info,TimedOut,timeout_type}'),
        CASE jsonb_typeof(c.failure -> 'info')
            WHEN 'string' THEN c.failure ->> 'info'
            ELSE (SELECT k.key FROM jsonb_object_keys(stored_object(c.failure -> 'info')) AS k (key) LIMIT 1)
        END)
    FROM chain c
    WHERE jsonb_typeof(c.failure) = 'object'
    ORDER BY c.depth DESC
    LIMIT 1
$$;
COMMENT ON FUNCTION failure_type IS 'The type of a failure''s innermost cause: the user''s error type, or the kind of failure.';

CREATE FUNCTION stored_attempts(version smallint, note text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(n.note -> 'ActivityAttempts', n.note -> 'WorkflowTaskAttempts')
    FROM (VALUES (stored_records(version, '[' || note || ']') -> 0 -> 'n')) AS n (note)
$$;
COMMENT ON FUNCTION stored_attempts IS 'What a row of "attempt" says, as stored; NULL if it cannot be read.';

-- Records.

CREATE VIEW history_record AS
SELECT n.name AS namespace,
       e.workflow_id,
       e.run_id,
       h.seq,
       r.n::integer AS position,
       stored_whole_number(r.value -> 'id') AS event_id,
       stored_time(r.value -> 't') AS recorded_at,
       CASE WHEN jsonb_typeof(r.value -> 'e') = 'object' THEN 'Event' WHEN jsonb_typeof(r.value -> 'n') = 'object' THEN 'Note' END AS kind,
       k.key AS type,
       k.value AS stored,
       CASE
           WHEN k.key IS NULL THEN coalesce(stored_object(r.value) ->> 'error', 'the record is neither an event nor a note')
       END AS error,
       e.closed_at AS run_closed_at,
       e.shard
FROM execution e
JOIN namespace n ON n.id = e.namespace
JOIN history h ON h.shard = e.shard AND h.run_id = e.run_id
CROSS JOIN LATERAL jsonb_array_elements(stored_records(h.version, h.records)) WITH ORDINALITY AS r (value, n)
LEFT JOIN LATERAL jsonb_each(stored_object(coalesce(r.value -> 'e', r.value -> 'n'))) AS k (key, value) ON true;

COMMENT ON VIEW history_record IS 'One row per record of a history, events and notes, as stored. The other views read this one.';
COMMENT ON COLUMN history_record.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN history_record.workflow_id IS 'The workflow''s id.';
COMMENT ON COLUMN history_record.run_id IS 'The run.';
COMMENT ON COLUMN history_record.seq IS 'The row of "history", from 0: what was committed together.';
COMMENT ON COLUMN history_record.position IS 'The record''s place in its row, from 1.';
COMMENT ON COLUMN history_record.event_id IS 'The event''s id; NULL for a note.';
COMMENT ON COLUMN history_record.recorded_at IS 'When it happened.';
COMMENT ON COLUMN history_record.kind IS 'Event or Note; NULL if the record cannot be read.';
COMMENT ON COLUMN history_record.type IS 'The type of the event or note.';
COMMENT ON COLUMN history_record.stored IS 'Its attributes, as stored: payloads are {"$p": JSON}, {"$b": base64, "enc": encoding} or {"$x": digest}.';
COMMENT ON COLUMN history_record.error IS 'Why the record cannot be read; NULL if it can.';
COMMENT ON COLUMN history_record.run_closed_at IS 'When the run closed; NULL if it is open.';
COMMENT ON COLUMN history_record.shard IS 'The shard of the workflow id.';

CREATE VIEW history_event AS
SELECT r.namespace,
       r.workflow_id,
       r.run_id,
       r.event_id,
       r.recorded_at AS event_time,
       r.type AS event_type,
       readable(r.stored) AS attributes,
       r.error,
       r.seq
FROM history_record r
WHERE r.kind IS DISTINCT FROM 'Note';

COMMENT ON VIEW history_event IS 'One row per event of a history, with its payloads decoded. A row of "history" that cannot be read is one row with an error.';
COMMENT ON COLUMN history_event.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN history_event.workflow_id IS 'The workflow''s id.';
COMMENT ON COLUMN history_event.run_id IS 'The run.';
COMMENT ON COLUMN history_event.event_id IS 'The event''s place in its history, from 1 without gaps.';
COMMENT ON COLUMN history_event.event_time IS 'When it happened.';
COMMENT ON COLUMN history_event.event_type IS 'Temporal''s name of what happened.';
COMMENT ON COLUMN history_event.attributes IS 'Temporal''s attributes in snake_case, without those that have their default. Durations are milliseconds, moments microseconds since 1970.';
COMMENT ON COLUMN history_event.error IS 'Why the record cannot be read; NULL if it can.';
COMMENT ON COLUMN history_event.seq IS 'The row of "history" that it was committed in.';

CREATE VIEW history_note AS
SELECT r.namespace,
       r.workflow_id,
       r.run_id,
       r.seq,
       r.position,
       r.recorded_at AS note_time,
       r.type AS note_type,
       readable(r.stored) AS attributes
FROM history_record r
WHERE r.kind = 'Note';

COMMENT ON VIEW history_note IS 'One row per note: what is in a log and is no event in Temporal, such as an event that waits for the end of a workflow task.';
COMMENT ON COLUMN history_note.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN history_note.workflow_id IS 'The workflow''s id.';
COMMENT ON COLUMN history_note.run_id IS 'The run.';
COMMENT ON COLUMN history_note.seq IS 'The row of "history" that it was committed in.';
COMMENT ON COLUMN history_note.position IS 'Its place in that row, from 1; events count too.';
COMMENT ON COLUMN history_note.note_time IS 'When it was made.';
COMMENT ON COLUMN history_note.note_type IS 'What kind of note it is.';
COMMENT ON COLUMN history_note.attributes IS 'What it says, with payloads decoded. Durations are milliseconds, moments microseconds since 1970.';

-- Workflows.

CREATE FUNCTION stored_first_event(run_shard smallint, run uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT r.value
    FROM history h
    CROSS JOIN LATERAL jsonb_array_elements(stored_records(h.version, h.records)) WITH ORDINALITY AS r (value, n)
    WHERE h.shard = run_shard AND h.run_id = run AND h.seq = 0
    ORDER BY r.n
    LIMIT 1
$$;
COMMENT ON FUNCTION stored_first_event IS 'The first record of a run, as stored.';

CREATE FUNCTION stored_last_event(run_shard smallint, run uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    stored record;
    last jsonb;
BEGIN
    -- From the end, row by row, so that a long history is not decoded: rows that hold only notes are few.
    FOR stored IN SELECT h.version, h.records FROM history h WHERE h.shard = run_shard AND h.run_id = run ORDER BY h.seq DESC LOOP
        SELECT r.value INTO last
        FROM jsonb_array_elements(stored_records(stored.version, stored.records)) WITH ORDINALITY AS r (value, n)
        WHERE jsonb_typeof(r.value -> 'e') = 'object'
        ORDER BY r.n DESC
        LIMIT 1;
        IF FOUND THEN
            RETURN last;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION stored_last_event IS 'The last event of a run, as stored.';

CREATE FUNCTION stored_attributes(event jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT k.value FROM jsonb_each(stored_object(event -> 'e')) AS k LIMIT 1
$$;
COMMENT ON FUNCTION stored_attributes IS 'The attributes of a stored event.';

CREATE FUNCTION stored_type(event jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT k.key FROM jsonb_each(stored_object(event -> 'e')) AS k LIMIT 1
$$;
COMMENT ON FUNCTION stored_type IS 'The type of a stored event.';

CREATE VIEW workflow AS
SELECT n.name AS namespace,
       e.workflow_id,
       e.run_id,
       e.workflow_type,
       e.task_queue,
       workflow_status(e.status) AS status,
       e.started_at,
       e.closed_at,
       e.closed_at - e.started_at AS duration,
       e.history_length,
       readable(stored_attributes(stored_first_event(e.shard, e.run_id)) -> 'input') AS input,
       stored_attributes(stored_first_event(e.shard, e.run_id)) ->> 'identity' AS started_by,
       CASE WHEN e.status = 2 THEN readable(stored_attributes(stored_last_event(e.shard, e.run_id)) -> 'result') END AS result,
       CASE WHEN e.status = 3 THEN failure_text(stored_attributes(stored_last_event(e.shard, e.run_id)) -> 'failure') END AS failure,
       CASE WHEN e.status = 3 THEN failure_type(stored_attributes(stored_last_event(e.shard, e.run_id)) -> 'failure') END AS failure_type,
       CASE WHEN e.status = 5 THEN stored_attributes(stored_last_event(e.shard, e.run_id)) ->> 'identity' END AS terminated_by,
       CASE WHEN e.status = 5 THEN stored_attributes(stored_last_event(e.shard, e.run_id)) ->> 'reason' END AS terminate_reason,
       stored_time(stored_last_event(e.shard, e.run_id) -> 't') AS last_event_at,
       stored_type(stored_last_event(e.shard, e.run_id)) AS last_event_type,
       e.parent_workflow_id,
       e.parent_run_id,
       e.first_run_id,
       CASE
           WHEN e.closed_at IS NOT NULL
           THEN stored_uuid(stored_attributes(stored_last_event(e.shard, e.run_id)) ->> 'new_execution_run_id')
       END AS next_run_id,
       e.request_id,
       e.shard
FROM execution e
JOIN namespace n ON n.id = e.namespace;

COMMENT ON VIEW workflow IS 'One row per run: how it started, how it stands, how it ended. A column that is not asked for costs nothing.';
COMMENT ON COLUMN workflow.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN workflow.workflow_id IS 'The workflow''s id.';
COMMENT ON COLUMN workflow.run_id IS 'The run. Run ids sort by start.';
COMMENT ON COLUMN workflow.workflow_type IS 'The name of its code.';
COMMENT ON COLUMN workflow.task_queue IS 'Where its workflow tasks go.';
COMMENT ON COLUMN workflow.status IS 'Running, Completed, Failed, Canceled, Terminated, ContinuedAsNew or TimedOut.';
COMMENT ON COLUMN workflow.started_at IS 'When it started.';
COMMENT ON COLUMN workflow.closed_at IS 'When it closed; NULL if it is open.';
COMMENT ON COLUMN workflow.duration IS 'From start to close; NULL if it is open.';
COMMENT ON COLUMN workflow.history_length IS 'How many events it has; NULL if it is open.';
COMMENT ON COLUMN workflow.input IS 'Its arguments.';
COMMENT ON COLUMN workflow.started_by IS 'Who asked for it, as that client calls itself.';
COMMENT ON COLUMN workflow.result IS 'What it returned, as a list of values; NULL if it did not complete.';
COMMENT ON COLUMN workflow.failure IS 'Why it failed: the messages of the failure and its causes; NULL if it did not fail.';
COMMENT ON COLUMN workflow.failure_type IS 'The type of the innermost cause.';
COMMENT ON COLUMN workflow.terminated_by IS 'Who terminated it.';
COMMENT ON COLUMN workflow.terminate_reason IS 'Why it was terminated.';
COMMENT ON COLUMN workflow.last_event_at IS 'When something last happened in it.';
COMMENT ON COLUMN workflow.last_event_type IS 'What that was.';
COMMENT ON COLUMN workflow.parent_workflow_id IS 'The parent''s id, if it is a child.';
COMMENT ON COLUMN workflow.parent_run_id IS 'The parent''s run, if it is a child.';
COMMENT ON COLUMN workflow.first_run_id IS 'The first run of its chain of retries and continue-as-new.';
COMMENT ON COLUMN workflow.next_run_id IS 'The run that followed in that chain; NULL if none did.';
COMMENT ON COLUMN workflow.request_id IS 'The request that started it.';
COMMENT ON COLUMN workflow.shard IS 'The shard of the workflow id.';

-- Activities.

CREATE VIEW activity_history AS
SELECT a.shard, a.namespace, a.workflow_id, a.run_id, a.run_closed_at, a.scheduled_event_id, a.scheduled_at, a.scheduled, a.started,
       a.close_type, a.close, a.closed_at, a.is_cancel_requested,
       k.kept -> 'last_failure' AS failed,
       coalesce(a.noted, CASE
           WHEN k.kept ? 'started'
           THEN jsonb_build_object('attempt', k.kept -> 'attempt', 'identity', k.kept #> '{started,identity}',
                                   'noted_at', stored_time(k.kept #> '{started,at}'))
       END) AS noted,
       stored_time(k.kept -> 'next_attempt_at') AS next_attempt_at,
       k.kept -> 'heartbeat_details' AS heartbeat_details
FROM (
    SELECT r.shard,
           r.namespace,
           r.workflow_id,
           r.run_id,
           r.run_closed_at,
           a.scheduled_event_id,
           min(r.recorded_at) FILTER (WHERE r.type = 'ActivityTaskScheduled') AS scheduled_at,
           (array_agg(r.stored) FILTER (WHERE r.type = 'ActivityTaskScheduled'))[1] AS scheduled,
           (array_agg(r.stored) FILTER (WHERE r.type = 'ActivityTaskStarted'))[1] AS started,
           (array_agg(r.type) FILTER (WHERE a.is_close))[1] AS close_type,
           (array_agg(r.stored) FILTER (WHERE a.is_close))[1] AS close,
           min(r.recorded_at) FILTER (WHERE a.is_close) AS closed_at,
           bool_or(r.type = 'ActivityTaskCancelRequested') AS is_cancel_requested,
           -- That the only attempt started is in the log.
           (array_agg(r.stored || jsonb_build_object('noted_at', r.recorded_at) ORDER BY r.seq DESC, r.position DESC)
               FILTER (WHERE r.type = 'ActivityAttemptStarted' AND jsonb_typeof(r.stored) = 'object'))[1] AS noted
    FROM history_record r
    CROSS JOIN LATERAL (
        SELECT CASE r.type WHEN 'ActivityTaskScheduled' THEN r.event_id ELSE stored_whole_number(r.stored -> 'scheduled_event_id') END,
               r.type IN ('ActivityTaskCompleted', 'ActivityTaskFailed', 'ActivityTaskTimedOut', 'ActivityTaskCanceled')
    ) AS a (scheduled_event_id, is_close)
    WHERE r.type IN ('ActivityTaskScheduled', 'ActivityTaskStarted', 'ActivityTaskCompleted', 'ActivityTaskFailed',
                     'ActivityTaskTimedOut', 'ActivityTaskCanceled', 'ActivityTaskCancelRequested',
                     'ActivityAttemptStarted')
    GROUP BY r.shard, r.namespace, r.workflow_id, r.run_id, r.run_closed_at, a.scheduled_event_id
) AS a
LEFT JOIN LATERAL (
    -- What else is known of attempts is beside the log.
    SELECT stored_object(stored_attempts(t.version, t.note))
    FROM attempt t
    WHERE t.shard = a.shard AND t.run_id = a.run_id AND t.event_id = a.scheduled_event_id
) AS k (kept) ON true;

COMMENT ON VIEW activity_history IS 'What was recorded of each activity, as stored. "activity" and "activity_attempt" read this one.';
COMMENT ON COLUMN activity_history.shard IS 'The shard of the workflow id.';
COMMENT ON COLUMN activity_history.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN activity_history.workflow_id IS 'The workflow''s id.';
COMMENT ON COLUMN activity_history.run_id IS 'The run.';
COMMENT ON COLUMN activity_history.run_closed_at IS 'When the run closed; NULL if it is open.';
COMMENT ON COLUMN activity_history.scheduled_event_id IS 'Its ActivityTaskScheduled event.';
COMMENT ON COLUMN activity_history.scheduled_at IS 'When workflow code asked for it.';
COMMENT ON COLUMN activity_history.scheduled IS 'The attributes of its ActivityTaskScheduled event.';
COMMENT ON COLUMN activity_history.started IS 'The attributes of its ActivityTaskStarted event, which is written with its end.';
COMMENT ON COLUMN activity_history.close_type IS 'The type of the event that ended it.';
COMMENT ON COLUMN activity_history.close IS 'The attributes of that event.';
COMMENT ON COLUMN activity_history.closed_at IS 'When it ended.';
COMMENT ON COLUMN activity_history.is_cancel_requested IS 'Whether workflow code asked for its cancellation.';
COMMENT ON COLUMN activity_history.failed IS 'The latest of its attempts that failed and were followed by another one, while it is pending.';
COMMENT ON COLUMN activity_history.noted IS 'The latest note that an attempt was handed out.';
COMMENT ON COLUMN activity_history.next_attempt_at IS 'When its next attempt may be handed out, while it waits for that.';
COMMENT ON COLUMN activity_history.heartbeat_details IS 'What the last heartbeat said that was written, as stored, while it is pending.';

CREATE VIEW activity AS
SELECT a.namespace,
       a.workflow_id,
       a.run_id,
       a.scheduled ->> 'activity_id' AS activity_id,
       a.scheduled ->> 'activity_type' AS activity_type,
       a.scheduled ->> 'task_queue' AS task_queue,
       CASE
           WHEN a.close_type IS NOT NULL THEN replace(a.close_type, 'ActivityTask', '')
           WHEN a.run_closed_at IS NOT NULL THEN 'Abandoned'
           WHEN a.is_cancel_requested THEN 'CancelRequested'
           WHEN l.is_running THEN 'Started'
           ELSE 'Scheduled'
       END AS status,
       l.attempts,
       a.scheduled_at,
       l.first_started_at,
       l.started_at,
       a.closed_at,
       l.first_started_at - a.scheduled_at AS waited,
       a.closed_at - l.started_at AS ran,
       readable(a.scheduled -> 'input') AS input,
       CASE WHEN a.close_type = 'ActivityTaskCompleted' THEN readable(a.close -> 'result') END AS result,
       failure_text(l.failure) AS last_failure,
       failure_type(l.failure) AS last_failure_type,
       a.close ->> 'retry_state' AS retry_state,
       coalesce(a.started ->> 'identity', a.noted ->> 'identity', a.failed ->> 'identity') AS worker,
       a.next_attempt_at,
       readable(a.heartbeat_details) AS heartbeat_details,
       a.scheduled_event_id
FROM activity_history a
CROSS JOIN LATERAL (
    SELECT greatest(stored_whole_number(a.started -> 'attempt'), stored_whole_number(a.noted -> 'attempt'),
                    stored_whole_number(a.failed -> 'attempt'), 0),
           -- An attempt was noted, and no failure of it.
           stored_whole_number(a.noted -> 'attempt') > coalesce(stored_whole_number(a.failed -> 'attempt'), 0),
           coalesce(stored_time(a.started -> 'started_at'), CASE WHEN a.started IS NULL THEN (a.noted ->> 'noted_at')::timestamptz END,
                    stored_time(a.failed -> 'started_at')),
           -- Of attempts before the last two nothing is kept.
           CASE '1'
               WHEN a.started ->> 'attempt' THEN stored_time(a.started -> 'started_at')
               WHEN a.failed ->> 'attempt' THEN stored_time(a.failed -> 'started_at')
               WHEN a.noted ->> 'attempt' THEN (a.noted ->> 'noted_at')::timestamptz
           END,
           coalesce(a.close -> 'failure', a.failed -> 'failure', a.started -> 'last_failure')
) AS l (attempts, is_running, started_at, first_started_at, failure)
WHERE a.scheduled IS NOT NULL;

COMMENT ON VIEW activity IS 'One row per activity that workflow code asked for, with its attempts, times and end.';
COMMENT ON COLUMN activity.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN activity.workflow_id IS 'The workflow''s id.';
COMMENT ON COLUMN activity.run_id IS 'The run.';
COMMENT ON COLUMN activity.activity_id IS 'Its id in the run.';
COMMENT ON COLUMN activity.activity_type IS 'The name of its code.';
COMMENT ON COLUMN activity.task_queue IS 'Where its tasks go.';
COMMENT ON COLUMN activity.status IS 'Scheduled (waits, or runs for less than half a second), Started, CancelRequested; Completed, Failed, TimedOut, Canceled; or Abandoned: its run closed before it ended.';
COMMENT ON COLUMN activity.attempts IS 'How many attempts are known to have started. An attempt that runs is known after half a second, or when a member that died had it.';
COMMENT ON COLUMN activity.scheduled_at IS 'When workflow code asked for it.';
COMMENT ON COLUMN activity.first_started_at IS 'When its first attempt was handed to a worker; NULL when more than one other has followed, or it has ended with another.';
COMMENT ON COLUMN activity.started_at IS 'When its latest attempt was handed to a worker.';
COMMENT ON COLUMN activity.closed_at IS 'When it ended; NULL if it did not.';
COMMENT ON COLUMN activity.waited IS 'From scheduling to the first hand-out: how long it was in the queue.';
COMMENT ON COLUMN activity.ran IS 'How long the last attempt took.';
COMMENT ON COLUMN activity.input IS 'Its arguments.';
COMMENT ON COLUMN activity.result IS 'What it returned, as a list of values; NULL if it did not complete.';
COMMENT ON COLUMN activity.last_failure IS 'Why the latest attempt that failed did so, also when a later one completed.';
COMMENT ON COLUMN activity.last_failure_type IS 'The type of that failure''s innermost cause.';
COMMENT ON COLUMN activity.retry_state IS 'Why it was not tried again.';
COMMENT ON COLUMN activity.worker IS 'The worker of the latest attempt, as it calls itself.';
COMMENT ON COLUMN activity.next_attempt_at IS 'When its next attempt may be handed out, while it waits for that.';
COMMENT ON COLUMN activity.heartbeat_details IS 'What the last heartbeat said that was written, while it is pending.';
COMMENT ON COLUMN activity.scheduled_event_id IS 'Its ActivityTaskScheduled event.';

CREATE VIEW activity_attempt AS
SELECT a.namespace,
       a.workflow_id,
       a.run_id,
       a.scheduled ->> 'activity_id' AS activity_id,
       a.scheduled ->> 'activity_type' AS activity_type,
       t.attempt,
       t.status,
       t.started_at,
       t.ended_at,
       t.ended_at - t.started_at AS ran,
       t.worker,
       failure_text(t.failure) AS failure,
       failure_type(t.failure) AS failure_type,
       t.next_attempt_at,
       a.scheduled_event_id
FROM activity_history a
CROSS JOIN LATERAL (
    SELECT stored_whole_number(a.failed -> 'attempt') AS attempt,
           CASE WHEN a.failed #> '{failure,info,TimedOut}' IS NULL THEN 'Failed' ELSE 'TimedOut' END AS status,
           stored_time(a.failed -> 'started_at') AS started_at,
           stored_time(a.failed -> 'ended_at') AS ended_at,
           a.failed ->> 'identity' AS worker,
           a.failed -> 'failure' AS failure,
           a.next_attempt_at
    WHERE a.close_type IS NULL AND a.failed IS NOT NULL
    UNION ALL
    -- How the one before the last attempt failed is told with the start of that.
    SELECT stored_whole_number(a.started -> 'attempt') - 1,
           CASE WHEN a.started #> '{last_failure,info,TimedOut}' IS NULL THEN 'Failed' ELSE 'TimedOut' END, NULL, NULL, NULL,
           a.started -> 'last_failure', NULL
    WHERE a.started ? 'last_failure'
    UNION ALL
    -- The last attempt is in the events that end the activity.
    SELECT stored_whole_number(a.started -> 'attempt'), replace(a.close_type, 'ActivityTask', ''),
           stored_time(a.started -> 'started_at'), a.closed_at, a.started ->> 'identity', a.close -> 'failure', NULL
    WHERE a.started IS NOT NULL
    UNION ALL
    -- An attempt that was handed out and did not end yet.
    SELECT stored_whole_number(a.noted -> 'attempt'), CASE WHEN a.run_closed_at IS NULL THEN 'Started' ELSE 'Abandoned' END,
           (a.noted ->> 'noted_at')::timestamptz, NULL, a.noted ->> 'identity', NULL, NULL
    WHERE a.close_type IS NULL
      AND stored_whole_number(a.noted -> 'attempt') > coalesce(stored_whole_number(a.failed -> 'attempt'), 0)
) AS t
WHERE a.scheduled IS NOT NULL;

COMMENT ON VIEW activity_attempt IS 'The latest attempt of each activity that is known to have started, and the one before it that failed.';
COMMENT ON COLUMN activity_attempt.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN activity_attempt.workflow_id IS 'The workflow''s id.';
COMMENT ON COLUMN activity_attempt.run_id IS 'The run.';
COMMENT ON COLUMN activity_attempt.activity_id IS 'The activity''s id in the run.';
COMMENT ON COLUMN activity_attempt.activity_type IS 'The name of its code.';
COMMENT ON COLUMN activity_attempt.attempt IS 'Which attempt, from 1.';
COMMENT ON COLUMN activity_attempt.status IS 'Started, Completed, Failed, TimedOut, Canceled; or Abandoned: its run closed before it ended.';
COMMENT ON COLUMN activity_attempt.started_at IS 'When it was handed to a worker; NULL if it never was, and of one before the last of an activity that has ended.';
COMMENT ON COLUMN activity_attempt.ended_at IS 'When it ended; NULL if it did not, and of one before the last of an activity that has ended.';
COMMENT ON COLUMN activity_attempt.ran IS 'How long it took.';
COMMENT ON COLUMN activity_attempt.worker IS 'The worker, as it calls itself.';
COMMENT ON COLUMN activity_attempt.failure IS 'Why it failed: the messages of the failure and its causes.';
COMMENT ON COLUMN activity_attempt.failure_type IS 'The type of the innermost cause.';
COMMENT ON COLUMN activity_attempt.next_attempt_at IS 'When the next attempt may be handed out; NULL for the last one.';
COMMENT ON COLUMN activity_attempt.scheduled_event_id IS 'The activity''s ActivityTaskScheduled event.';

-- Workflow tasks that fail.

CREATE VIEW workflow_task_attempt AS
SELECT n.name AS namespace,
       e.workflow_id,
       e.run_id,
       e.workflow_type,
       e.task_queue,
       stored_whole_number(k.kept -> 'attempt') AS attempt,
       stored_time(k.kept #> '{started,at}') AS started_at,
       k.kept #>> '{started,identity}' AS worker,
       stored_time(k.kept -> 'next_attempt_at') AS next_attempt_at,
       stored_time(k.kept #> '{last_failure,at}') AS last_failed_at,
       coalesce(k.kept #>> '{last_failure,cause,Failed}', 'TimedOut') AS last_cause,
       failure_text(k.kept #> '{last_failure,failure}') AS last_failure,
       k.kept #>> '{last_failure,identity}' AS last_worker
FROM attempt t
JOIN execution e ON e.shard = t.shard AND e.run_id = t.run_id
JOIN namespace n ON n.id = e.namespace
CROSS JOIN LATERAL (SELECT stored_attempts(t.version, t.note)) AS k (kept)
WHERE t.event_id = 0;

COMMENT ON VIEW workflow_task_attempt IS 'One row per run whose workflow task has failed more than once since its last event: what its code cannot do.';
COMMENT ON COLUMN workflow_task_attempt.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN workflow_task_attempt.workflow_id IS 'The workflow''s id.';
COMMENT ON COLUMN workflow_task_attempt.run_id IS 'The run.';
COMMENT ON COLUMN workflow_task_attempt.workflow_type IS 'The name of its code.';
COMMENT ON COLUMN workflow_task_attempt.task_queue IS 'Where its tasks go.';
COMMENT ON COLUMN workflow_task_attempt.attempt IS 'Which attempt it is at, from 2.';
COMMENT ON COLUMN workflow_task_attempt.started_at IS 'When that attempt was handed to a worker; known after half a second.';
COMMENT ON COLUMN workflow_task_attempt.worker IS 'The worker that has it, as it calls itself.';
COMMENT ON COLUMN workflow_task_attempt.next_attempt_at IS 'When that attempt may be handed out. A worker with other code ends the wait.';
COMMENT ON COLUMN workflow_task_attempt.last_failed_at IS 'When the attempt before it failed.';
COMMENT ON COLUMN workflow_task_attempt.last_cause IS 'Why: Temporal''s WorkflowTaskFailedCause, or TimedOut.';
COMMENT ON COLUMN workflow_task_attempt.last_failure IS 'The messages of that failure and its causes.';
COMMENT ON COLUMN workflow_task_attempt.last_worker IS 'The worker of that attempt, as it calls itself.';

-- Timers, children, and what reached a workflow from outside.

CREATE VIEW timer AS
SELECT t.namespace,
       t.workflow_id,
       t.run_id,
       t.timer_id,
       coalesce(t.close_status, CASE WHEN t.run_closed_at IS NULL THEN 'Started' ELSE 'Abandoned' END) AS status,
       t.started_at,
       t.started_at + t.duration AS due_at,
       t.duration,
       t.closed_at,
       CASE WHEN t.close_status = 'Fired' THEN t.closed_at - (t.started_at + t.duration) END AS late,
       t.started_event_id
FROM (
    SELECT r.namespace, r.workflow_id, r.run_id, r.run_closed_at, s.started_event_id,
           min(r.stored ->> 'timer_id') AS timer_id,
           min(r.recorded_at) FILTER (WHERE r.type = 'TimerStarted') AS started_at,
           min(stored_duration(r.stored -> 'start_to_fire_timeout')) FILTER (WHERE r.type = 'TimerStarted') AS duration,
           min(replace(r.type, 'Timer', '')) FILTER (WHERE r.type <> 'TimerStarted') AS close_status,
           min(r.recorded_at) FILTER (WHERE r.type <> 'TimerStarted') AS closed_at
    FROM history_record r
    CROSS JOIN LATERAL (
        SELECT CASE r.type WHEN 'TimerStarted' THEN r.event_id ELSE stored_whole_number(r.stored -> 'started_event_id') END
    ) AS s (started_event_id)
    WHERE r.type IN ('TimerStarted', 'TimerFired', 'TimerCanceled')
    GROUP BY r.namespace, r.workflow_id, r.run_id, r.run_closed_at, s.started_event_id
) AS t;

COMMENT ON VIEW timer IS 'One row per timer that workflow code started.';
COMMENT ON COLUMN timer.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN timer.workflow_id IS 'The workflow''s id.';
COMMENT ON COLUMN timer.run_id IS 'The run.';
COMMENT ON COLUMN timer.timer_id IS 'Its id in the run.';
COMMENT ON COLUMN timer.status IS 'Started, Fired, Canceled; or Abandoned: its run closed before it fired.';
COMMENT ON COLUMN timer.started_at IS 'When it was started.';
COMMENT ON COLUMN timer.due_at IS 'When it is or was to fire.';
COMMENT ON COLUMN timer.duration IS 'How long it runs.';
COMMENT ON COLUMN timer.closed_at IS 'When it fired or was canceled.';
COMMENT ON COLUMN timer.late IS 'How long after its time it fired.';
COMMENT ON COLUMN timer.started_event_id IS 'Its TimerStarted event.';

CREATE VIEW child_workflow AS
SELECT c.namespace,
       c.workflow_id,
       c.run_id,
       c.initiated ->> 'workflow_id' AS child_workflow_id,
       stored_uuid(coalesce(c.close #>> '{workflow_execution,run_id}', c.started #>> '{workflow_execution,run_id}')) AS child_run_id,
       c.initiated ->> 'workflow_type' AS child_workflow_type,
       CASE
           WHEN c.close_type = 'StartChildWorkflowExecutionFailed' THEN 'StartFailed'
           WHEN c.close_type IS NOT NULL THEN replace(c.close_type, 'ChildWorkflowExecution', '')
           WHEN c.started IS NOT NULL THEN 'Started'
           ELSE 'Initiated'
       END AS status,
       c.initiated_at,
       c.started_at,
       c.closed_at,
       coalesce(c.initiated ->> 'parent_close_policy', 'Terminate') AS parent_close_policy,
       readable(c.initiated -> 'input') AS input,
       readable(c.close -> 'result') AS result,
       coalesce(failure_text(c.close -> 'failure'), c.close ->> 'cause') AS failure,
       c.initiated_event_id
FROM (
    SELECT r.namespace, r.workflow_id, r.run_id, i.initiated_event_id,
           min(r.recorded_at) FILTER (WHERE i.step = 1) AS initiated_at,
           (array_agg(r.stored) FILTER (WHERE i.step = 1))[1] AS initiated,
           min(r.recorded_at) FILTER (WHERE i.step = 2) AS started_at,
           (array_agg(r.stored) FILTER (WHERE i.step = 2))[1] AS started,
           min(r.recorded_at) FILTER (WHERE i.step = 3) AS closed_at,
           (array_agg(r.type) FILTER (WHERE i.step = 3))[1] AS close_type,
           (array_agg(r.stored) FILTER (WHERE i.step = 3))[1] AS close
    FROM history_record r
    CROSS JOIN LATERAL (
        SELECT CASE r.type
                   WHEN 'StartChildWorkflowExecutionInitiated' THEN r.event_id
                   ELSE stored_whole_number(r.stored -> 'initiated_event_id')
               END,
               CASE r.type
                   WHEN 'StartChildWorkflowExecutionInitiated' THEN 1
                   WHEN 'ChildWorkflowExecutionStarted' THEN 2
                   ELSE 3
               END
    ) AS i (initiated_event_id, step)
    WHERE r.type IN ('StartChildWorkflowExecutionInitiated', 'StartChildWorkflowExecutionFailed', 'ChildWorkflowExecutionStarted',
                     'ChildWorkflowExecutionCompleted', 'ChildWorkflowExecutionFailed', 'ChildWorkflowExecutionCanceled',
                     'ChildWorkflowExecutionTimedOut', 'ChildWorkflowExecutionTerminated')
    GROUP BY r.namespace, r.workflow_id, r.run_id, i.initiated_event_id
) AS c;

COMMENT ON VIEW child_workflow IS 'One row per child that workflow code asked for, as its parent''s history tells it.';
COMMENT ON COLUMN child_workflow.namespace IS 'The parent''s namespace.';
COMMENT ON COLUMN child_workflow.workflow_id IS 'The parent''s id.';
COMMENT ON COLUMN child_workflow.run_id IS 'The parent''s run.';
COMMENT ON COLUMN child_workflow.child_workflow_id IS 'The child''s id.';
COMMENT ON COLUMN child_workflow.child_run_id IS 'The child''s run: the first one, and once it is closed the last one.';
COMMENT ON COLUMN child_workflow.child_workflow_type IS 'The name of the child''s code.';
COMMENT ON COLUMN child_workflow.status IS 'Initiated, StartFailed, Started, Completed, Failed, Canceled, TimedOut or Terminated.';
COMMENT ON COLUMN child_workflow.initiated_at IS 'When workflow code asked for it.';
COMMENT ON COLUMN child_workflow.started_at IS 'When it started.';
COMMENT ON COLUMN child_workflow.closed_at IS 'When its end, or that it could not start, reached the parent.';
COMMENT ON COLUMN child_workflow.parent_close_policy IS 'What happens to it when the parent closes: Terminate, Abandon or RequestCancel.';
COMMENT ON COLUMN child_workflow.input IS 'Its arguments.';
COMMENT ON COLUMN child_workflow.result IS 'What it returned, as a list of values.';
COMMENT ON COLUMN child_workflow.failure IS 'Why it failed or could not start.';
COMMENT ON COLUMN child_workflow.initiated_event_id IS 'Its StartChildWorkflowExecutionInitiated event, in the parent''s history.';

CREATE VIEW request AS
SELECT r.namespace,
       r.workflow_id,
       r.run_id,
       r.recorded_at AS requested_at,
       CASE r.type
           WHEN 'WorkflowExecutionStarted' THEN 'Start'
           WHEN 'WorkflowExecutionSignaled' THEN 'Signal'
           WHEN 'WorkflowExecutionCancelRequested' THEN 'Cancel'
           WHEN 'WorkflowExecutionTerminated' THEN 'Terminate'
           WHEN 'WorkflowExecutionUpdateAccepted' THEN 'Update'
           WHEN 'WorkflowExecutionOptionsUpdated' THEN 'UpdateOptions'
           WHEN 'WorkflowExecutionPaused' THEN 'Pause'
           WHEN 'WorkflowExecutionUnpaused' THEN 'Unpause'
       END AS verb,
       coalesce(r.stored ->> 'identity', r.stored #>> '{accepted_request,meta,identity}') AS identity,
       coalesce(r.stored #>> '{external_workflow_execution,workflow_id}', r.stored #>> '{parent_workflow_execution,workflow_id}') AS from_workflow_id,
       coalesce(r.stored ->> 'signal_name', r.stored ->> 'reason', r.stored ->> 'cause', r.stored #>> '{accepted_request,input,name}',
                r.stored ->> 'workflow_type') AS subject,
       readable(coalesce(r.stored -> 'input', r.stored -> 'details', r.stored #> '{accepted_request,input,args}')) AS content,
       r.event_id
FROM history_record r
WHERE r.type IN ('WorkflowExecutionStarted', 'WorkflowExecutionSignaled', 'WorkflowExecutionCancelRequested',
                 'WorkflowExecutionTerminated', 'WorkflowExecutionUpdateAccepted', 'WorkflowExecutionOptionsUpdated',
                 'WorkflowExecutionPaused', 'WorkflowExecutionUnpaused')
  AND r.kind = 'Event';

COMMENT ON VIEW request IS 'One row per thing that people, programs and other workflows asked of a workflow.';
COMMENT ON COLUMN request.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN request.workflow_id IS 'The workflow that was asked.';
COMMENT ON COLUMN request.run_id IS 'The run.';
COMMENT ON COLUMN request.requested_at IS 'When it was recorded.';
COMMENT ON COLUMN request.verb IS 'Start, Signal, Cancel, Terminate, Update, UpdateOptions, Pause or Unpause.';
COMMENT ON COLUMN request.identity IS 'Who asked, as that client calls itself.';
COMMENT ON COLUMN request.from_workflow_id IS 'The workflow that asked, if it was one.';
COMMENT ON COLUMN request.subject IS 'The signal''s name, the reason given, the update''s name, or the workflow''s type.';
COMMENT ON COLUMN request.content IS 'The values that came along.';
COMMENT ON COLUMN request.event_id IS 'The event.';

CREATE VIEW signal AS
SELECT r.namespace, r.workflow_id, r.run_id, r.requested_at AS signaled_at, r.subject AS signal_name, r.content AS input,
       r.identity, r.from_workflow_id, r.event_id
FROM request r
WHERE r.verb = 'Signal';

COMMENT ON VIEW signal IS 'One row per signal that a workflow received.';
COMMENT ON COLUMN signal.namespace IS 'The namespace''s name.';
COMMENT ON COLUMN signal.workflow_id IS 'The workflow that received it.';
COMMENT ON COLUMN signal.run_id IS 'The run.';
COMMENT ON COLUMN signal.signaled_at IS 'When it was recorded.';
COMMENT ON COLUMN signal.signal_name IS 'The signal''s name.';
COMMENT ON COLUMN signal.input IS 'The values that came along.';
COMMENT ON COLUMN signal.identity IS 'Who sent it, as that client calls itself.';
COMMENT ON COLUMN signal.from_workflow_id IS 'The workflow that sent it, if it was one.';
COMMENT ON COLUMN signal.event_id IS 'Its WorkflowExecutionSignaled event.';
