//! The order of a list, and where its next page begins.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use history::RunId;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::filter::Column;
use crate::{
    query::{Direction, Order, Type},
    store::namespaces::Declared,
};

/// By what a list is ordered; those that have the same by their run ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// By start: run ids sort so.
    Start,
    /// By a column, of those runs that have it.
    Column {
        name: &'static str,
        /// As a cursor's text is cast.
        cast: &'static str,
        /// It may be absent.
        nullable: bool,
    },
    /// By an attribute of the namespace, of those runs that have it.
    Attribute {
        id: i32,
        column: &'static str,
        cast: &'static str,
    },
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ordered {
    pub(super) by: By,
    pub(super) direction: Direction,
}

impl Ordered {
    /// Returns the order that a query asks for: the newest first unless it says something else. `None` where no index has it.
    pub(crate) fn of(order: &[Order], declared: &Declared) -> Option<Self> {
        let Some(order) = order.first() else {
            return Some(Self {
                by: By::Start,
                direction: Direction::Descending,
            });
        };
        let by = match Column::of(&order.attribute.name) {
            Some(column) => by_column(column)?,
            None => by_attribute(order, declared)?,
        };
        Some(Self {
            by,
            direction: order.direction,
        })
    }

    pub(super) fn keyword(self) -> &'static str {
        match self.direction {
            Direction::Ascending => "ASC",
            Direction::Descending => "DESC",
        }
    }

    /// Returns the comparison that what follows passes.
    pub(super) fn follows(self) -> &'static str {
        match self.direction {
            Direction::Ascending => " > ",
            Direction::Descending => " < ",
        }
    }
}

fn by_column(column: Column) -> Option<By> {
    let by = |name, cast, nullable| By::Column {
        name,
        cast,
        nullable,
    };
    Some(match column {
        Column::StartTime | Column::RunId("v.run_id") => By::Start,
        Column::CloseTime => by("v.closed_at", "timestamptz", false),
        Column::Duration => by("v.duration", "bigint", true),
        Column::Status => by("v.status", "smallint", false),
        Column::Text(name) => by(name, "text", name == "v.parent_workflow_id"),
        Column::ExecutionTime | Column::Number(_) | Column::RunId(_) | Column::RootWorkflowId => {
            return None;
        }
    })
}

fn by_attribute(order: &Order, declared: &Declared) -> Option<By> {
    let id = declared.get(&order.attribute.name)?.id;
    let (column, cast) = match order.attribute.ty {
        Type::Keyword => ("o.keyword", "text"),
        Type::Int | Type::Double | Type::Bool | Type::Datetime => ("o.number", "numeric"),
        Type::KeywordList | Type::Text | Type::Status | Type::Duration => return None,
    };
    Some(By::Attribute { id, column, cast })
}

/// Where the next page of a list begins: behind this run, and behind what it has of what the list is ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Of which list, by [`Cursor::list()`].
    pub(super) list: u32,
    pub(super) run_id: RunId,
    /// As text; `None` in a list by start.
    pub(super) value: Option<String>,
}

impl Cursor {
    /// Returns a number of a list: that of another namespace or query has another one, mostly.
    pub(crate) fn list(namespace: i16, query: &str) -> u32 {
        let hash = xxh3_64_with_seed(query.as_bytes(), u64::from(namespace.unsigned_abs()));
        (hash & u64::from(u32::MAX)).try_into().unwrap_or_default()
    }

    /// Says whether it was given by a page of this list.
    pub(crate) fn is_of(&self, list: u32) -> bool {
        self.list == list
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}.{}", self.list, self.run_id)?;
        if let Some(value) = &self.value {
            write!(f, ".{}", BASE64_URL_SAFE_NO_PAD.encode(value))?;
        }
        Ok(())
    }
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one that a page of this list gave")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (list, rest) = text.split_once('.').ok_or(NoCursor)?;
        let (run_id, value) = match rest.split_once('.') {
            None => (rest, None),
            Some((run_id, value)) => {
                let bytes = BASE64_URL_SAFE_NO_PAD.decode(value).map_err(|_| NoCursor)?;
                let value = String::from_utf8(bytes).map_err(|_| NoCursor)?;
                if value.contains('\0') {
                    return Err(NoCursor);
                }
                (run_id, Some(value))
            }
        };
        Ok(Self {
            list: u32::from_str_radix(list, 16).map_err(|_| NoCursor)?,
            run_id: RunId(Uuid::parse_str(run_id).map_err(|_| NoCursor)?),
            value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for value in [
            None,
            Some(String::new()),
            Some("2026-02-03 04:05:06+00 'x.é".to_owned()),
        ] {
            let run_id = RunId(Uuid::from_u128(7));
            let list = Cursor::list(1, "WorkflowType = 'a'");
            let cursor = Cursor {
                list,
                run_id,
                value,
            };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let id = Uuid::nil();
        for text in [
            "",
            "x",
            "1.2",
            &id.to_string(),
            &format!("x.{id}"),
            &format!("1.{id}.!"),
            &format!("1.{id}.AA"),
            &format!("1.{id}./w"),
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text}");
        }
    }
}
