//! Calls of functions of the database: the name of each argument stands beside its value, so that no two can be exchanged.

use tokio_postgres::types::ToSql;

/// An argument of a function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Argument<'a> {
    name: &'static str,
    value: &'a (dyn ToSql + Sync),
}

/// Returns the argument of this name.
pub(super) fn named<'a>(name: &'static str, value: &'a (dyn ToSql + Sync)) -> Argument<'a> {
    Argument { name, value }
}

/// Returns the text of a call, in which each argument is the parameter of its place.
pub(super) fn text(function: &str, arguments: &[Argument<'_>]) -> String {
    let arguments = (1..).zip(arguments);
    let arguments = arguments.map(|(n, argument)| format!("{} => ${n}", argument.name));
    let arguments: Vec<String> = arguments.collect();
    format!("{function}({})", arguments.join(", "))
}

/// Returns the parameters of that text.
pub(super) fn values<const N: usize>(arguments: [Argument<'_>; N]) -> [&(dyn ToSql + Sync); N] {
    arguments.map(|argument| argument.value)
}
