//! Commands that reach other workflows.

use super::turn::{Refused, Turn, check_facts, check_id, check_pending, check_size};
use crate::{
    decide::size::{payload_problem, text_problem},
    event::{
        RequestCancelExternalWorkflowExecutionInitiated, SignalExternalWorkflowExecutionInitiated,
        WorkflowTaskFailedCause as Cause,
    },
};

impl Turn<'_, '_> {
    pub(super) fn signal_external(
        &mut self,
        signal: SignalExternalWorkflowExecutionInitiated,
    ) -> Result<(), Refused> {
        check_pending(
            self.signals,
            Cause::PendingSignalsLimitExceeded,
            "signals to others",
        )?;
        let bad = Cause::BadSignalWorkflowExecutionAttributes;
        let name = &signal.signal_name;
        check_id(bad, name.problem())?;
        check_id(bad, signal.workflow_id.problem())?;
        check_size(
            &format!("input of signal {name}"),
            payload_problem(&signal.input),
        )?;
        check_facts(bad, &format!("header of signal {name}"), &signal.header)?;
        self.signals += 1;
        self.initiate(signal);
        Ok(())
    }

    pub(super) fn request_cancel_external(
        &mut self,
        cancel: RequestCancelExternalWorkflowExecutionInitiated,
    ) -> Result<(), Refused> {
        check_pending(
            self.cancels,
            Cause::PendingRequestCancelLimitExceeded,
            "cancellations of others",
        )?;
        check_id(
            Cause::BadRequestCancelExternalWorkflowExecutionAttributes,
            cancel.workflow_id.problem(),
        )?;
        check_size("reason", text_problem(&cancel.reason))?;
        self.cancels += 1;
        self.initiate(cancel);
        Ok(())
    }
}
