//! The attributes that every run has.

use super::{Attribute, Type};

const BUILT_IN: [(&str, Type); 15] = [
    ("WorkflowId", Type::Keyword),
    ("RunId", Type::Keyword),
    ("WorkflowType", Type::Keyword),
    ("TaskQueue", Type::Keyword),
    ("ParentWorkflowId", Type::Keyword),
    ("ParentRunId", Type::Keyword),
    ("RootWorkflowId", Type::Keyword),
    ("RootRunId", Type::Keyword),
    ("StartTime", Type::Datetime),
    ("ExecutionTime", Type::Datetime),
    ("CloseTime", Type::Datetime),
    ("ExecutionStatus", Type::Status),
    ("ExecutionDuration", Type::Duration),
    ("HistoryLength", Type::Int),
    ("HistorySizeBytes", Type::Int),
];

/// Returns the built-in attribute of a name.
pub fn attribute(name: &str) -> Option<Attribute> {
    let (name, ty) = BUILT_IN.into_iter().find(|(known, _)| *known == name)?;
    Some(Attribute {
        name: name.to_owned(),
        ty,
    })
}

/// Returns the built-in name that differs from this one in upper and lower case only.
pub(super) fn meant_by(name: &str) -> Option<&'static str> {
    let mut names = BUILT_IN.into_iter().map(|(known, _)| known);
    names.find(|known| known.eq_ignore_ascii_case(name))
}
