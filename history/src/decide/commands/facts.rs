//! Commands that note things: markers, search attributes, memos.

use super::{Refused, Turn, check, check_facts, check_size, refused};
use crate::{
    command::Command,
    decide::{facts_problem, failure_problem, keys_problem, payload_problem},
    event::{
        MarkerRecorded, UpsertWorkflowSearchAttributes, WorkflowPropertiesModified,
        WorkflowTaskFailedCause as Cause,
    },
};

impl Turn<'_, '_> {
    pub(super) fn note_facts(&mut self, command: &Command) -> Result<(), Refused> {
        match command {
            Command::RecordMarker {
                marker_name,
                details,
                header,
                failure,
            } => {
                if marker_name.is_empty() {
                    return refused(Cause::BadRecordMarkerAttributes, "a marker needs a name");
                }
                let field = format!("details of marker {marker_name}");
                check(
                    Cause::BadRecordMarkerAttributes,
                    &field,
                    keys_problem(details.keys()),
                )?;
                for payloads in details.values() {
                    check_size(&field, payload_problem(payloads))?;
                }
                check_facts(Cause::BadRecordMarkerAttributes, &field, header)?;
                check_size(&field, failure.as_deref().and_then(failure_problem))?;
                self.draft.event(MarkerRecorded {
                    marker_name: marker_name.clone(),
                    details: details.clone(),
                    workflow_task_completed_event_id: self.completed,
                    header: header.clone(),
                    failure: failure.as_deref().cloned(),
                });
            }
            Command::UpsertWorkflowSearchAttributes { search_attributes } => {
                if search_attributes.is_empty() {
                    return refused(Cause::BadSearchAttributes, "there is no search attribute");
                }
                check_facts(
                    Cause::BadSearchAttributes,
                    "search_attributes",
                    search_attributes,
                )?;
                self.search_attributes.extend(search_attributes.clone());
                // All of them together: a later run starts with what is there then.
                check_size(
                    "search_attributes with what is upserted",
                    facts_problem(&self.facts().1),
                )?;
                self.draft.event(UpsertWorkflowSearchAttributes {
                    workflow_task_completed_event_id: self.completed,
                    search_attributes: search_attributes.clone(),
                });
            }
            Command::ModifyWorkflowProperties { upserted_memo } => {
                if upserted_memo.is_empty() {
                    return refused(
                        Cause::BadModifyWorkflowPropertiesAttributes,
                        "there is nothing to modify",
                    );
                }
                check_facts(
                    Cause::BadModifyWorkflowPropertiesAttributes,
                    "upserted_memo",
                    upserted_memo,
                )?;
                self.memo.extend(upserted_memo.clone());
                check_size("memo with what is upserted", facts_problem(&self.facts().0))?;
                self.draft.event(WorkflowPropertiesModified {
                    workflow_task_completed_event_id: self.completed,
                    upserted_memo: upserted_memo.clone(),
                });
            }
            _ => {}
        }
        Ok(())
    }
}
