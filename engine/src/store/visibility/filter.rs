//! A filter as SQL: conditions on `visibility v`, in such a form that each finds its index.

use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::{
    query::{Comparison, Condition, Filter, Test, Type, Value},
    store::namespaces::Declared,
};

/// How far at most the time in a run id is from its start, in milliseconds: both are read from one clock, one shortly after the other.
const SKEW_MS: i64 = 60_000;

/// Where a built-in attribute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Text(&'static str),
    RunId(&'static str),
    /// Run ids sort by it.
    StartTime,
    /// Not before the start.
    ExecutionTime,
    /// Infinity where it is absent.
    CloseTime,
    Number(&'static str),
    Status,
    /// Microseconds.
    Duration,
    /// Absent where a run is its own root.
    RootWorkflowId,
}

impl Column {
    /// Returns the column of a built-in attribute; `None` if that is one of a namespace.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "WorkflowId" => Self::Text("v.workflow_id"),
            "WorkflowType" => Self::Text("v.workflow_type"),
            "TaskQueue" => Self::Text("v.task_queue"),
            "ParentWorkflowId" => Self::Text("v.parent_workflow_id"),
            "RootWorkflowId" => Self::RootWorkflowId,
            "RunId" => Self::RunId("v.run_id"),
            "ParentRunId" => Self::RunId("v.parent_run_id"),
            "RootRunId" => Self::RunId("coalesce(v.root_run_id, v.run_id)"),
            "StartTime" => Self::StartTime,
            "ExecutionTime" => Self::ExecutionTime,
            "CloseTime" => Self::CloseTime,
            "ExecutionStatus" => Self::Status,
            "ExecutionDuration" => Self::Duration,
            "HistoryLength" => Self::Number("v.history_length"),
            "HistorySizeBytes" => Self::Number("v.history_bytes"),
            _ => return None,
        })
    }
}

/// Writes conditions.
pub(super) struct Writer<'a> {
    pub(super) sql: &'a mut QueryBuilder<Postgres>,
    pub(super) declared: &'a Declared,
}

impl Writer<'_> {
    /// Writes a filter. What is negated is written as what it comes to, so that an attribute that is absent passes neither way.
    pub(super) fn filter(&mut self, filter: &Filter, negated: bool) {
        match filter {
            Filter::Not(inner) => self.filter(inner, !negated),
            Filter::And(all) => self.joined(all, negated, if negated { " OR " } else { " AND " }),
            Filter::Or(all) => self.joined(all, negated, if negated { " AND " } else { " OR " }),
            Filter::Condition(condition) if negated => self.condition(&Condition {
                attribute: condition.attribute.clone(),
                test: condition.test.complement(),
            }),
            Filter::Condition(condition) => self.condition(condition),
        }
    }

    fn joined(&mut self, all: &[Filter], negated: bool, with: &str) {
        self.sql.push("(");
        for (n, filter) in all.iter().enumerate() {
            if n > 0 {
                self.sql.push(with);
            }
            self.filter(filter, negated);
        }
        self.sql.push(")");
    }

    fn condition(&mut self, Condition { attribute, test }: &Condition) {
        self.sql.push("(");
        match Column::of(&attribute.name) {
            Some(column) => self.built_in(column, test),
            None => self.declared(&attribute.name, attribute.ty, test),
        }
        self.sql.push(")");
    }

    fn built_in(&mut self, column: Column, test: &Test) {
        match column {
            Column::Text(name) | Column::Number(name) => self.scalar(name, test),
            Column::ExecutionTime => {
                self.scalar("v.execution_at", test);
                self.started_before(range(test).1);
            }
            Column::Status => self.scalar("v.status", test),
            Column::RunId(name) => self.run_id(name, test),
            Column::StartTime => self.start_time(test),
            Column::CloseTime => self.close_time(test),
            Column::Duration => self.duration(test),
            Column::RootWorkflowId => self.root_workflow_id(test),
        }
    }

    /// Writes a test of an expression whose values are as they are compared.
    fn scalar(&mut self, of: &str, test: &Test) {
        match test {
            Test::Compare(comparison, value) => {
                self.sql.push(of).push(operator(*comparison));
                self.value(value);
            }
            Test::In(values) => self.list(of, " IN (", values),
            Test::NotIn(values) => self.list(of, " NOT IN (", values),
            Test::Between(from, to) => self.between(of, " BETWEEN ", from, to),
            Test::NotBetween(from, to) => self.between(of, " NOT BETWEEN ", from, to),
            Test::IsNull => self.push([of, " IS NULL"]),
            Test::IsNotNull => self.push([of, " IS NOT NULL"]),
            Test::StartsWith(prefix) => {
                self.push([of, " >= "]);
                self.sql.push_bind(prefix.clone());
                if let Some(end) = end_of(prefix) {
                    self.push([" AND ", of, " < "]);
                    self.sql.push_bind(end);
                }
            }
            Test::NotStartsWith(prefix) => {
                self.push(["NOT starts_with(", of, ", "]);
                self.sql.push_bind(prefix.clone()).push(")");
            }
        }
    }

    fn push<const N: usize>(&mut self, parts: [&str; N]) {
        for part in parts {
            self.sql.push(part);
        }
    }

    fn list(&mut self, of: &str, within: &str, values: &[Value]) {
        self.push([of, within]);
        for (n, value) in values.iter().enumerate() {
            if n > 0 {
                self.sql.push(", ");
            }
            self.value(value);
        }
        self.sql.push(")");
    }

    fn between(&mut self, of: &str, between: &str, from: &Value, to: &Value) {
        self.push([of, between]);
        self.value(from);
        self.sql.push(" AND ");
        self.value(to);
    }

    /// Writes a value as the columns of `visibility` have it.
    fn value(&mut self, value: &Value) {
        match value {
            Value::Keyword(text) => self.sql.push_bind(text.clone()),
            Value::Int(number) | Value::Duration(number) => self.sql.push_bind(*number),
            Value::Double(number) => self.sql.push_bind(*number),
            Value::Bool(is) => self.sql.push_bind(*is),
            Value::Status(number) => self.sql.push_bind(i16::from(*number)),
            Value::Datetime(micros) => self
                .sql
                .push("timestamptz 'epoch' + ")
                .push_bind(*micros)
                .push(" * interval '1 microsecond'"),
            Value::Words(words) => self.sql.push_bind(words.join(" ")),
        };
    }

    /// Writes a test of a run's id: by its number where it is one, else by its text.
    fn run_id(&mut self, of: &str, test: &Test) {
        let id = |value: &Value| match value {
            Value::Keyword(written) => Uuid::parse_str(written).ok(),
            _ => None,
        };
        match test {
            Test::Compare(comparison @ (Comparison::Equal | Comparison::NotEqual), value) => {
                match id(value) {
                    Some(id) => {
                        self.push([of, operator(*comparison)]);
                        self.sql.push_bind(id);
                    }
                    None if *comparison == Comparison::Equal => self.push(["false"]),
                    None => self.push([of, " IS NOT NULL"]),
                }
            }
            Test::In(values) | Test::NotIn(values) => {
                let ids: Vec<Uuid> = values.iter().filter_map(id).collect();
                let any = if matches!(test, Test::In(_)) {
                    " = ANY ("
                } else {
                    " <> ALL ("
                };
                // To differ from none is no test of what is not there.
                self.push([of, " IS NOT NULL AND ", of, any]);
                self.sql.push_bind(ids).push(")");
            }
            Test::IsNull | Test::IsNotNull => self.scalar(of, test),
            other => self.scalar(&format!("({of})::text COLLATE \"C\""), other),
        }
    }

    fn start_time(&mut self, test: &Test) {
        self.scalar("v.started_at", test);
        let (from, to) = range(test);
        // What the index of run ids knows of it.
        if let Some(from) = from {
            self.push([" AND v.run_id >= "]);
            self.sql.push_bind(run_id_of(from, -SKEW_MS));
        }
        self.started_before(to);
    }

    /// Writes that a run has started by then, as the index of run ids knows: what is over then has.
    fn started_before(&mut self, to: Option<i64>) {
        if let Some(to) = to {
            self.push([" AND v.run_id < "]);
            self.sql.push_bind(run_id_of(to, SKEW_MS));
        }
    }

    fn close_time(&mut self, test: &Test) {
        match test {
            Test::IsNull => self.push(["v.closed_at = 'infinity'"]),
            Test::IsNotNull => self.push(["v.closed_at < 'infinity'"]),
            other => {
                self.scalar("v.closed_at", other);
                self.push([" AND v.closed_at < 'infinity'"]);
                self.started_before(range(other).1);
            }
        }
    }

    /// Writes a test of a duration: nanoseconds in the query, microseconds in the table.
    fn duration(&mut self, test: &Test) {
        match test {
            Test::Compare(comparison, Value::Duration(nanos)) => {
                self.compare_duration(*comparison, *nanos);
            }
            Test::In(values) => self.any_duration(values, "", " OR ", Comparison::Equal),
            Test::NotIn(values) => self.any_duration(values, "", " AND ", Comparison::NotEqual),
            Test::Between(Value::Duration(from), Value::Duration(to)) => {
                self.compare_duration(Comparison::GreaterOrEqual, *from);
                self.push([" AND "]);
                self.compare_duration(Comparison::LessOrEqual, *to);
            }
            Test::NotBetween(Value::Duration(from), Value::Duration(to)) => {
                self.compare_duration(Comparison::Less, *from);
                self.push([" OR "]);
                self.compare_duration(Comparison::Greater, *to);
            }
            other => self.scalar("v.duration", other),
        }
    }

    fn any_duration(&mut self, values: &[Value], first: &str, join: &str, comparison: Comparison) {
        let mut join_with = first;
        for value in values {
            if let Value::Duration(nanos) = value {
                self.push([join_with]);
                self.compare_duration(comparison, *nanos);
                join_with = join;
            }
        }
    }

    fn compare_duration(&mut self, comparison: Comparison, nanos: i64) {
        let floor = nanos.div_euclid(1000);
        let whole = nanos.rem_euclid(1000) == 0;
        let micros = match comparison {
            Comparison::Equal if !whole => return self.push(["false"]),
            Comparison::NotEqual if !whole => return self.push(["v.duration IS NOT NULL"]),
            // The first that is not less.
            Comparison::Less | Comparison::GreaterOrEqual if !whole => floor.saturating_add(1),
            _ => floor,
        };
        self.push(["v.duration", operator(comparison)]);
        self.sql.push_bind(micros);
    }

    fn root_workflow_id(&mut self, test: &Test) {
        match test {
            // A run without an ancestor is its own.
            Test::IsNull => return self.push(["false"]),
            Test::IsNotNull => return self.push(["true"]),
            _ => {}
        }
        // The first for those that are children, the second for those that are not: each has its index.
        self.push(["("]);
        self.scalar("v.root_workflow_id", test);
        self.push([") OR (v.root_workflow_id IS NULL AND ("]);
        self.scalar("v.workflow_id", test);
        self.push(["))"]);
    }

    /// Writes a test of an attribute of the namespace.
    fn declared(&mut self, name: &str, ty: Type, test: &Test) {
        // The parser knows no other.
        let Some(attribute) = self.declared.get(name) else {
            return self.push(["false"]);
        };
        let id = attribute.id;
        match (ty, test) {
            (_, Test::IsNull) => self.exists(id, true, |_| {}),
            (_, Test::IsNotNull) => self.exists(id, false, |_| {}),
            (Type::Text, Test::Compare(Comparison::Equal, Value::Words(words))) => {
                self.exists(id, false, |writer| {
                    writer.push([" AND a.keyword = ANY ("]);
                    writer.sql.push_bind(words.clone()).push(")");
                });
            }
            (Type::Text, Test::Compare(_, Value::Words(words))) => self.none_of(id, words.clone()),
            // Of several values none may be it.
            (Type::KeywordList, Test::Compare(Comparison::NotEqual, Value::Keyword(keyword))) => {
                self.none_of(id, vec![keyword.clone()]);
            }
            (Type::KeywordList, Test::NotIn(values)) => {
                let keywords = values.iter().filter_map(|value| match value {
                    Value::Keyword(keyword) => Some(keyword.clone()),
                    _ => None,
                });
                self.none_of(id, keywords.collect());
            }
            (Type::Keyword | Type::KeywordList, test) => self.exists(id, false, |writer| {
                writer.push([" AND "]);
                writer.scalar("a.keyword", test);
            }),
            (_, test) => self.exists(id, false, |writer| {
                writer.push([" AND "]);
                writer.number(test);
            }),
        }
    }

    /// Writes that a run has, or has not, a row of an attribute that passes.
    fn exists(&mut self, attribute: i32, absent: bool, passes: impl FnOnce(&mut Self)) {
        let exists = if absent { "NOT EXISTS" } else { "EXISTS" };
        self.push([
            exists,
            " (SELECT FROM visibility_attribute a WHERE a.namespace = v.namespace AND a.run_id = v.run_id AND a.attribute = ",
        ]);
        self.sql.push_bind(attribute);
        passes(self);
        self.push([")"]);
    }

    fn none_of(&mut self, attribute: i32, keywords: Vec<String>) {
        self.exists(attribute, false, |_| {});
        self.push([" AND "]);
        self.exists(attribute, true, |writer| {
            writer.push([" AND a.keyword = ANY ("]);
            writer.sql.push_bind(keywords).push(")");
        });
    }

    /// Writes a test of a number as `visibility_attribute` has it.
    fn number(&mut self, test: &Test) {
        let number = |value: &Value| match value {
            Value::Int(number) | Value::Datetime(number) | Value::Duration(number) => {
                number.to_string()
            }
            Value::Double(number) => format!("{number:e}"),
            Value::Bool(is) => u8::from(*is).to_string(),
            Value::Status(number) => number.to_string(),
            Value::Keyword(written) => written.clone(),
            Value::Words(words) => words.join(" "),
        };
        let mut bind = |before: &str, value: &Value| {
            self.sql.push(before);
            self.sql.push_bind(number(value)).push("::numeric");
        };
        match test {
            Test::Compare(comparison, value) => {
                bind(&format!("a.number{}", operator(*comparison)), value);
            }
            Test::In(values) | Test::NotIn(values) => {
                let within = if matches!(test, Test::In(_)) {
                    "a.number IN ("
                } else {
                    "a.number NOT IN ("
                };
                for (n, value) in values.iter().enumerate() {
                    bind(if n == 0 { within } else { ", " }, value);
                }
                self.sql.push(")");
            }
            Test::Between(from, to) => {
                bind("a.number BETWEEN ", from);
                bind(" AND ", to);
            }
            Test::NotBetween(from, to) => {
                bind("a.number NOT BETWEEN ", from);
                bind(" AND ", to);
            }
            Test::IsNull | Test::IsNotNull | Test::StartsWith(_) | Test::NotStartsWith(_) => {
                self.scalar("a.number", test);
            }
        }
    }
}

/// Returns the first and the last moment that pass a test, where there are such.
fn range(test: &Test) -> (Option<i64>, Option<i64>) {
    use Comparison as C;
    match test {
        Test::Compare(C::Equal, Value::Datetime(at)) => (Some(*at), Some(*at)),
        Test::Compare(C::Less | C::LessOrEqual, Value::Datetime(at)) => (None, Some(*at)),
        Test::Compare(C::Greater | C::GreaterOrEqual, Value::Datetime(at)) => (Some(*at), None),
        Test::Between(Value::Datetime(from), Value::Datetime(to)) => (Some(*from), Some(*to)),
        _ => (None, None),
    }
}

/// Returns the first run id of so many milliseconds after a moment.
fn run_id_of(micros: i64, skew_ms: i64) -> Uuid {
    let millis = micros.div_euclid(1000).saturating_add(skew_ms).max(0);
    Uuid::from_u128(u128::from(millis.unsigned_abs() & 0xFFFF_FFFF_FFFF) << 80)
}

fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => " = ",
        Comparison::NotEqual => " <> ",
        Comparison::Less => " < ",
        Comparison::LessOrEqual => " <= ",
        Comparison::Greater => " > ",
        Comparison::GreaterOrEqual => " >= ",
    }
}

/// Returns the first text, by bytes, behind all that begin with another one; `None` where there is none.
fn end_of(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // Those between are no characters.
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_all_that_begin_with_a_text_is_the_next_one() {
        for (prefix, end) in [
            ("a", Some("b")),
            ("az", Some("a{")),
            ("a\u{10ffff}", Some("b")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(end_of(prefix).as_deref(), end, "{prefix:?}");
        }
    }
}
