//! Operators, and which of them the type of an attribute allows.

use super::{Comparison, Type, lexer::Token};

/// What stands between an attribute and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Compare(Comparison),
    In,
    Between,
    StartsWith,
}

impl Operator {
    const WRITTEN: [(Self, &str); 9] = [
        (Self::Compare(Comparison::Equal), "="),
        (Self::Compare(Comparison::NotEqual), "!="),
        (Self::Compare(Comparison::Less), "<"),
        (Self::Compare(Comparison::LessOrEqual), "<="),
        (Self::Compare(Comparison::Greater), ">"),
        (Self::Compare(Comparison::GreaterOrEqual), ">="),
        (Self::In, "IN"),
        (Self::Between, "BETWEEN"),
        (Self::StartsWith, "STARTS_WITH"),
    ];

    pub(super) fn of(token: &Token<'_>) -> Option<Self> {
        let written = match token.written {
            "<>" => "!=",
            written => written,
        };
        Self::WRITTEN
            .into_iter()
            .find_map(|(operator, known)| known.eq_ignore_ascii_case(written).then_some(operator))
    }

    /// Says whether an attribute of this type allows it. Statuses have no order: Temporal's is that of their names.
    pub(super) fn is_allowed(self, ty: Type) -> bool {
        match self {
            Self::Compare(Comparison::Equal | Comparison::NotEqual) => true,
            Self::Compare(_) | Self::Between => matches!(
                ty,
                Type::Keyword | Type::Int | Type::Double | Type::Datetime | Type::Duration
            ),
            Self::In => !matches!(ty, Type::Text | Type::Bool),
            Self::StartsWith => ty == Type::Keyword,
        }
    }

    /// Returns what a type allows, in words.
    pub(super) fn allowed(ty: Type) -> String {
        let mut allowed = String::new();
        for (operator, written) in Self::WRITTEN {
            if operator.is_allowed(ty) {
                let not = match operator {
                    Self::Compare(_) => "",
                    Self::In | Self::Between | Self::StartsWith => "[NOT] ",
                };
                allowed.extend([not, written, ", "]);
            }
        }
        allowed + "IS [NOT] NULL"
    }
}
