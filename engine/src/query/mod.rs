//! Temporal's list filter: which runs a list shows, and in which order.
//!
//! ```text
//! query     = [ filter ] [ ORDER BY attribute [ ASC | DESC ] ]
//! filter    = all { OR all }
//! all       = one { AND one }
//! one       = NOT one | "(" filter ")" | condition
//! condition = attribute ( = | != | <> | < | <= | > | >= ) value
//!           | attribute [ NOT ] IN "(" value { "," value } ")"
//!           | attribute [ NOT ] BETWEEN value AND value
//!           | attribute [ NOT ] STARTS_WITH value
//!           | attribute IS [ NOT ] NULL
//! ```

mod builtin;
mod error;
mod limits;
mod types;

mod condition;
mod lexer;
mod operator;
mod parser;

mod duration;
mod value;

#[cfg(test)]
mod tests;

pub use builtin::attribute as built_in_attribute;
pub use error::QueryError;
pub use limits::{CONDITIONS_MAX, LIST_VALUES_MAX, NESTING_MAX, QUERY_BYTES_MAX};
pub use types::{
    Attribute, Comparison, Condition, Direction, Filter, Order, Query, Test, Type, Value,
};

use error::Problem;

/// Reads a query. A blank one has no filter and no order.
///
/// `attributes` says what a name in it means, both for the names that [`built_in_attribute`] knows and for custom ones.
///
/// # Errors
/// When the text is no query, with a sentence for its author.
pub fn parse(
    text: &str,
    attributes: &dyn Fn(&str) -> Option<Attribute>,
) -> Result<Query, QueryError> {
    if text.len() > QUERY_BYTES_MAX {
        let what = format!("the query has {} bytes", text.len());
        let advice = format!("write at most {QUERY_BYTES_MAX}");
        return Err(Problem::new(None, what, advice).of(text));
    }
    parser::Parser::new(text, attributes)
        .and_then(parser::Parser::query)
        .map_err(|problem| problem.of(text))
}
