//! Every operator, and which type allows it.

use super::{
    super::{Comparison, Test, Type, Value},
    attribute, condition, parse, refusal, test,
};

fn number(number: i64) -> Value {
    Value::Int(number)
}

fn keyword(text: &str) -> Value {
    Value::Keyword(text.to_owned())
}

/// Returns the operators with which an attribute and a value are a query.
fn operators(name: &str, value: &str) -> Vec<&'static str> {
    let conditions = [
        ("=", format!("= {value}")),
        ("!=", format!("!= {value}")),
        ("<", format!("< {value}")),
        ("<=", format!("<= {value}")),
        (">", format!("> {value}")),
        (">=", format!(">= {value}")),
        ("IN", format!("IN ({value}, {value})")),
        ("NOT IN", format!("NOT IN ({value})")),
        ("BETWEEN", format!("BETWEEN {value} AND {value}")),
        ("NOT BETWEEN", format!("NOT BETWEEN {value} AND {value}")),
        ("STARTS_WITH", format!("STARTS_WITH {value}")),
        ("NOT STARTS_WITH", format!("NOT STARTS_WITH {value}")),
        ("IS NULL", "IS NULL".to_owned()),
        ("IS NOT NULL", "IS NOT NULL".to_owned()),
    ];
    let allowed =
        conditions
            .into_iter()
            .filter(|(_, rest)| match parse(&format!("{name} {rest}")) {
                Ok(_) => true,
                Err(error) => {
                    let refused = format!("can't be used with the {} attribute `{name}`", ty(name));
                    assert!(error.message.contains(&refused), "{error}");
                    false
                }
            });
    allowed.map(|(operator, _)| operator).collect()
}

fn ty(name: &str) -> Type {
    condition(&format!("{name} IS NULL")).attribute.ty
}

const EQUALITY: [&str; 2] = ["=", "!="];
const ORDER: [&str; 4] = ["<", "<=", ">", ">="];
const LIST: [&str; 2] = ["IN", "NOT IN"];
const RANGE: [&str; 2] = ["BETWEEN", "NOT BETWEEN"];
const BEGINNING: [&str; 2] = ["STARTS_WITH", "NOT STARTS_WITH"];
const NULL: [&str; 2] = ["IS NULL", "IS NOT NULL"];

#[test]
fn a_keyword_has_every_operator() {
    let all = [&EQUALITY[..], &ORDER, &LIST, &RANGE, &BEGINNING, &NULL].concat();
    assert_eq!(operators("Customer", "'ann'"), all);
}

#[test]
fn numbers_times_and_durations_have_all_but_a_beginning() {
    let all = [&EQUALITY[..], &ORDER, &LIST, &RANGE, &NULL].concat();
    assert_eq!(operators("Count", "5"), all);
    assert_eq!(operators("Amount", "0.5"), all);
    assert_eq!(operators("DueAt", "'2026-02-03T04:05:06Z'"), all);
    assert_eq!(operators("ExecutionDuration", "'1h'"), all);
}

#[test]
fn lists_of_keywords_and_statuses_are_equal_or_in_a_list() {
    let all = [&EQUALITY[..], &LIST, &NULL].concat();
    assert_eq!(operators("Tags", "'red'"), all);
    assert_eq!(operators("ExecutionStatus", "'Running'"), all);
}

#[test]
fn texts_and_truths_are_equal_or_not() {
    let all = [&EQUALITY[..], &NULL].concat();
    assert_eq!(operators("Note", "'late'"), all);
    assert_eq!(operators("Paid", "true"), all);
}

#[test]
fn a_refused_operator_says_what_may_be_used() {
    assert_eq!(
        refusal("Note STARTS_WITH 'late'"),
        "`STARTS_WITH` can't be used with the Text attribute `Note`, at character 6: use =, !=, IS [NOT] NULL"
    );
    assert_eq!(
        refusal("Tags not between 'a' and 'b'"),
        "`between` can't be used with the KeywordList attribute `Tags`, at character 10: use =, !=, [NOT] IN, IS [NOT] NULL"
    );
    assert_eq!(
        refusal("StartTime STARTS_WITH '2026'"),
        "`STARTS_WITH` can't be used with the Datetime attribute `StartTime`, at character 11: \
         use =, !=, <, <=, >, >=, [NOT] IN, [NOT] BETWEEN, IS [NOT] NULL"
    );
}

#[test]
fn comparisons_compare() {
    for (written, comparison) in [
        ("=", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<>", Comparison::NotEqual),
        ("<", Comparison::Less),
        ("<=", Comparison::LessOrEqual),
        (">", Comparison::Greater),
        (">=", Comparison::GreaterOrEqual),
    ] {
        assert_eq!(
            test(&format!("Count {written} 5")),
            Test::Compare(comparison, number(5))
        );
        assert_eq!(
            test(&format!("Count{written}-5")),
            Test::Compare(comparison, number(-5))
        );
    }
}

#[test]
fn a_list_has_its_values_in_their_order() {
    let values = vec![keyword("b"), keyword("a"), keyword("b")];
    assert_eq!(test("Tags IN ('b', 'a', 'b')"), Test::In(values.clone()));
    assert_eq!(test("Tags NOT IN ('b','a','b')"), Test::NotIn(values));
}

#[test]
fn a_range_has_two_ends() {
    assert_eq!(
        test("Count BETWEEN 1 AND 3"),
        Test::Between(number(1), number(3))
    );
    assert_eq!(
        test("Count not between 3 and 1"),
        Test::NotBetween(number(3), number(1))
    );
}

#[test]
fn a_beginning_is_taken_as_it_is_written() {
    assert_eq!(
        test("WorkflowType STARTS_WITH 'Order_%'"),
        Test::StartsWith("Order_%".to_owned())
    );
    assert_eq!(
        test("WorkflowType NOT starts_with \"\""),
        Test::NotStartsWith(String::new())
    );
}

#[test]
fn every_attribute_may_be_absent() {
    assert_eq!(test("CloseTime IS NULL"), Test::IsNull);
    assert_eq!(test("Note is not null"), Test::IsNotNull);
}

#[test]
fn a_name_may_stand_in_backticks() {
    assert_eq!(
        condition("`Customer` = 'ann'"),
        condition("Customer = 'ann'")
    );
    assert_eq!(
        condition("`Order` = 'a7'").attribute,
        attribute("Order", Type::Keyword)
    );
    assert_eq!(
        condition("`order-id` = 'a7'").attribute,
        attribute("order-id", Type::Keyword)
    );
}

#[test]
fn every_run_has_the_built_in_attributes() {
    let typed = |names: &[&str], expected| {
        assert!(names.iter().all(|name| ty(name) == expected), "{names:?}");
    };
    typed(
        &["WorkflowId", "RunId", "WorkflowType", "TaskQueue"],
        Type::Keyword,
    );
    typed(
        &[
            "ParentWorkflowId",
            "ParentRunId",
            "RootWorkflowId",
            "RootRunId",
        ],
        Type::Keyword,
    );
    typed(&["StartTime", "ExecutionTime", "CloseTime"], Type::Datetime);
    typed(&["ExecutionStatus"], Type::Status);
    typed(&["ExecutionDuration"], Type::Duration);
    typed(&["HistoryLength", "HistorySizeBytes"], Type::Int);
}
