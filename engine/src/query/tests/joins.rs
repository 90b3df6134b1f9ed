//! `AND`, `OR`, `NOT`, parentheses.

use super::{super::Filter, filter, parse};

fn one(name: &str) -> Filter {
    filter(&format!("WorkflowId = '{name}'"))
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

/// Returns the filter of a query in which a letter stands for a condition.
fn joined(text: &str) -> Filter {
    let written: Vec<String> = text
        .split(' ')
        .map(|word| match word {
            "a" | "b" | "c" | "d" => format!("WorkflowId = '{word}'"),
            other => other.to_owned(),
        })
        .collect();
    filter(&written.join(" "))
}

#[test]
fn a_blank_text_is_a_query_without_a_filter() {
    assert_eq!(parse("").unwrap(), parse(" \t\n").unwrap());
    assert_eq!(parse("").unwrap().filter, None);
}

#[test]
fn and_binds_more_than_or() {
    let expected = Filter::Or(vec![one("a"), Filter::And(vec![one("b"), one("c")])]);
    assert_eq!(joined("a OR b AND c"), expected);
    let expected = Filter::Or(vec![Filter::And(vec![one("a"), one("b")]), one("c")]);
    assert_eq!(joined("a AND b OR c"), expected);
}

#[test]
fn not_binds_more_than_and() {
    let expected = Filter::And(vec![not(one("a")), one("b")]);
    assert_eq!(joined("NOT a AND b"), expected);
}

#[test]
fn parentheses_come_before_all() {
    let expected = Filter::And(vec![Filter::Or(vec![one("a"), one("b")]), one("c")]);
    assert_eq!(joined("( a OR b ) AND c"), expected);
    let expected = not(Filter::And(vec![one("a"), one("b")]));
    assert_eq!(joined("NOT ( a AND b )"), expected);
}

#[test]
fn parentheses_around_one_condition_add_nothing() {
    assert_eq!(joined("( ( a ) )"), one("a"));
}

#[test]
fn filters_of_one_kind_are_one_filter() {
    let all = Filter::And(vec![one("a"), one("b"), one("c"), one("d")]);
    assert_eq!(joined("a AND ( b AND c ) AND d"), all);
    assert_eq!(joined("( a AND b ) AND ( c AND d )"), all);
    let any = Filter::Or(vec![one("a"), one("b"), one("c"), one("d")]);
    assert_eq!(joined("a OR ( b OR ( c OR d ) )"), any);
}

#[test]
fn two_nots_stay_two() {
    assert_eq!(joined("NOT NOT a"), not(not(one("a"))));
}

#[test]
fn the_and_of_between_joins_no_filters() {
    assert!(matches!(
        filter("Count BETWEEN 1 AND 2 AND Paid = true"),
        Filter::And(filters) if filters.len() == 2
    ));
}

#[test]
fn keywords_have_no_case_and_blanks_no_meaning() {
    assert_eq!(joined("not a And b oR c"), joined("NOT a AND b OR c"));
    assert_eq!(
        filter("(Count\n=\t1)and(Paid=TRUE)"),
        filter("Count = 1 AND Paid = true")
    );
}
