//! The arguments of `commit_batch` (`migrations/0001_core.sql`): the only place where a column of a batch meets the name that it has there.

use super::columns::Columns;
use crate::store::{
    Term,
    call::{Argument, named},
};

/// How many there are.
pub(super) const COUNT: usize = 65;

/// What the database compares before it writes a batch.
pub(super) struct Fence {
    pub(super) slot: i16,
    pub(super) term: Term,
}

/// Returns them for a batch.
pub(super) fn of<'a>(
    fence: &'a Fence,
    batch: &'a i64,
    columns: &'a Columns<'a>,
) -> [Argument<'a>; COUNT] {
    let Columns {
        claims,
        starts,
        history: rows,
        closes,
        facts,
        outbox,
        open,
        gone,
        attempts,
        over,
        delivered,
    } = columns;
    [
        named("slot_n", &fence.slot),
        named("member_id", &fence.term.owner),
        named("member_epoch", &fence.term.epoch),
        named("batch_n", batch),
        named("claim_shards", &claims.shard),
        named("claim_namespaces", &claims.namespace),
        named("claim_workflow_ids", &claims.workflow_id),
        named("claim_run_ids", &claims.run_id),
        named("claim_previous", &claims.previous),
        named("start_shards", &starts.shard),
        named("start_run_ids", &starts.run_id),
        named("start_namespaces", &starts.namespace),
        named("start_workflow_ids", &starts.workflow_id),
        named("start_types", &starts.workflow_type),
        named("start_task_queues", &starts.task_queue),
        named("start_first_run_ids", &starts.first_run_id),
        named("start_parent_run_ids", &starts.parent_run_id),
        named("start_parent_workflow_ids", &starts.parent_workflow_id),
        named("start_request_ids", &starts.request_id),
        named("started_ats", &starts.started_at),
        named("start_claims", &starts.claim),
        named("start_execution_ats", &starts.execution_at),
        named("start_root_run_ids", &starts.root_run_id),
        named("start_root_workflow_ids", &starts.root_workflow_id),
        named("start_memos", &starts.memo),
        named("start_search_attributes", &starts.search_attributes),
        named("row_shards", &rows.shard),
        named("row_run_ids", &rows.run_id),
        named("row_seqs", &rows.seq),
        named("row_first_event_ids", &rows.first_event_id),
        named("row_version", &history::chain::VERSION),
        named("row_records", &rows.records),
        named("row_hashes", &rows.hash),
        named("row_closes", &rows.closes),
        named("row_changed", &rows.changed),
        named("row_claims", &rows.claim),
        named("close_shards", &closes.shard),
        named("close_run_ids", &closes.run_id),
        named("close_statuses", &closes.status),
        named("closed_ats", &closes.closed_at),
        named("close_lengths", &closes.history_length),
        named("close_bytes", &closes.history_bytes),
        named("fact_shards", &facts.shard),
        named("fact_run_ids", &facts.run_id),
        named("fact_memos", &facts.memo),
        named("fact_search_attributes", &facts.search_attributes),
        named("outbox_shards", &outbox.shard),
        named("outbox_run_ids", &outbox.run_id),
        named("outbox_claims", &outbox.claim),
        named("open_shards", &open.shard),
        named("open_run_ids", &open.run_id),
        named("open_parked", &open.parked),
        named("open_due_ats", &open.due_at),
        named("gone_shards", &gone.shard),
        named("gone_run_ids", &gone.run_id),
        named("attempt_shards", &attempts.shard),
        named("attempt_run_ids", &attempts.run_id),
        named("attempt_event_ids", &attempts.event_id),
        named("attempt_notes", &attempts.note),
        named("attempt_claims", &attempts.claim),
        named("over_shards", &over.shard),
        named("over_run_ids", &over.run_id),
        named("over_event_ids", &over.event_id),
        named("delivered_shards", &delivered.shard),
        named("delivered_run_ids", &delivered.run_id),
    ]
}
