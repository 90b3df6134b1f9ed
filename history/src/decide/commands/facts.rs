//! Commands that note things: markers, search attributes, memos.

use super::turn::{Refused, Turn, check, check_facts, check_size, refused};
use crate::{
    decide::size::{facts_problem, failure_problem, keys_problem, payload_problem},
    event::{
        MarkerRecorded, Memo, SearchAttributes, UpsertWorkflowSearchAttributes,
        WorkflowPropertiesModified, WorkflowTaskFailedCause as Cause,
    },
};

impl Turn<'_, '_> {
    pub(super) fn record_marker(&mut self, marker: MarkerRecorded) -> Result<(), Refused> {
        if marker.marker_name.is_empty() {
            return refused(Cause::BadRecordMarkerAttributes, "a marker needs a name");
        }
        let field = format!("details of marker {}", marker.marker_name);
        check(
            Cause::BadRecordMarkerAttributes,
            &field,
            keys_problem(marker.details.keys()),
        )?;
        for payloads in marker.details.values() {
            check_size(&field, payload_problem(payloads))?;
        }
        check_facts(Cause::BadRecordMarkerAttributes, &field, &marker.header)?;
        check_size(&field, marker.failure.as_ref().and_then(failure_problem))?;
        self.draft.event(marker);
        Ok(())
    }

    pub(super) fn upsert_search_attributes(
        &mut self,
        search_attributes: &SearchAttributes,
    ) -> Result<(), Refused> {
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
        Ok(())
    }

    pub(super) fn modify_properties(&mut self, upserted_memo: &Memo) -> Result<(), Refused> {
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
        Ok(())
    }
}
