//! Commands that note things: markers, search attributes, memos.

use super::{Refused, Turn, check_size, refused};
use crate::{
    command::Command,
    decide::{facts_problem, failure_problem, payload_problem},
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
                for payloads in details.values() {
                    check_size(&field, payload_problem(payloads))?;
                }
                check_size(&field, facts_problem(header))?;
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
                self.search_attributes.extend(search_attributes.clone());
                // All of them together: a later run starts with what is there then.
                check_size("search_attributes", facts_problem(search_attributes))?;
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
                self.memo.extend(upserted_memo.clone());
                check_size("upserted_memo", facts_problem(upserted_memo))?;
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
