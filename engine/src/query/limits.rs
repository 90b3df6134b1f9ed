//! The limits of a query.

/// The most bytes of a query: a list of 100 run ids has half as many.
pub const QUERY_BYTES_MAX: usize = 8 * 1024;
/// The most conditions of a query: each is a comparison for every row that the database looks at.
pub const CONDITIONS_MAX: usize = 100;
/// The most values of an `IN` list.
pub const LIST_VALUES_MAX: usize = 100;
/// How deep parentheses and `NOT` may be nested: each level is a level of the parser's stack.
pub const NESTING_MAX: usize = 32;
