//! What a value means to each type.

use super::{
    super::{Comparison, Test, Value},
    refusal, test,
};

fn value(name: &str, literal: &str) -> Value {
    match test(&format!("{name} = {literal}")) {
        Test::Compare(Comparison::Equal, value) => value,
        other => panic!("{literal}: {other:?}"),
    }
}

fn keyword(literal: &str) -> String {
    match value("Customer", literal) {
        Value::Keyword(text) => text,
        other => panic!("{literal}: {other:?}"),
    }
}

fn micros(literal: &str) -> i64 {
    match value("DueAt", literal) {
        Value::Datetime(micros) => micros,
        other => panic!("{literal}: {other:?}"),
    }
}

fn nanoseconds(literal: &str) -> i64 {
    match value("ExecutionDuration", literal) {
        Value::Duration(nanoseconds) => nanoseconds,
        other => panic!("{literal}: {other:?}"),
    }
}

fn is_refused(name: &str, literal: &str) {
    let refusal = refusal(&format!("{name} = {literal}"));
    assert!(refusal.contains("is no value of"), "{refusal}");
}

#[test]
fn a_text_has_quotes_of_either_kind() {
    assert_eq!(keyword("'ann'"), "ann");
    assert_eq!(keyword("\"ann\""), "ann");
    assert_eq!(keyword("''"), "");
    assert_eq!(keyword("'AND (\"x\") `y` = é'"), "AND (\"x\") `y` = é");
}

#[test]
fn a_doubled_quote_is_a_quote() {
    assert_eq!(keyword("'it''s'"), "it's");
    assert_eq!(keyword("\"a \"\"b\"\"\""), "a \"b\"");
    assert_eq!(keyword("'a \"\" b'"), "a \"\" b");
    assert_eq!(keyword("''''"), "'");
}

#[test]
fn a_backslash_escapes_as_in_temporal() {
    assert_eq!(keyword(r"'it\'s'"), "it's");
    assert_eq!(keyword(r"'a\\b'"), r"a\b");
    assert_eq!(keyword(r"'a\nb\tc\rd\be\Z'"), "a\nb\tc\rd\u{8}e\u{1a}");
    assert_eq!(keyword(r"'50\% \é'"), "50% é");
}

#[test]
fn a_text_attribute_is_compared_with_words() {
    let words = |literal| match value("Note", literal) {
        Value::Words(words) => words,
        other => panic!("{literal}: {other:?}"),
    };
    assert_eq!(words("'Late DELIVERY'"), ["late", "delivery"]);
    assert_eq!(words("'  order-7: (Äpfel) '"), ["order", "7", "äpfel"]);
    is_refused("Note", "''");
    is_refused("Note", "' -- '");
}

#[test]
fn an_int_is_a_whole_number_of_64_bits() {
    assert_eq!(value("Count", "-9223372036854775808"), Value::Int(i64::MIN));
    assert_eq!(value("Count", "+9223372036854775807"), Value::Int(i64::MAX));
    assert_eq!(value("Count", "007"), Value::Int(7));
    is_refused("Count", "9223372036854775808");
    is_refused("Count", "1.0");
    is_refused("Count", "1e3");
    is_refused("Count", "0x10");
    is_refused("Count", "'5'");
    is_refused("Count", "- 5");
    is_refused("Count", "true");
}

#[test]
fn a_double_is_a_finite_number() {
    assert_eq!(value("Amount", "4"), Value::Double(4.0));
    assert_eq!(value("Amount", "-4.25"), Value::Double(-4.25));
    assert_eq!(value("Amount", ".5"), Value::Double(0.5));
    assert_eq!(value("Amount", "1.5e-3"), Value::Double(0.0015));
    is_refused("Amount", "1e400");
    is_refused("Amount", "NaN");
    is_refused("Amount", "-inf");
    is_refused("Amount", "'4.25'");
}

#[test]
fn a_bool_is_true_or_false() {
    assert_eq!(value("Paid", "true"), Value::Bool(true));
    assert_eq!(value("Paid", "False"), Value::Bool(false));
    is_refused("Paid", "1");
    is_refused("Paid", "'true'");
}

#[test]
fn a_time_has_an_offset() {
    assert_eq!(micros("'1970-01-01T00:00:00Z'"), 0);
    assert_eq!(micros("'2026-02-03T04:05:06Z'"), 1_770_091_506_000_000);
    assert_eq!(micros("'2026-02-03T05:05:06+01:00'"), 1_770_091_506_000_000);
    assert_eq!(micros("'2026-02-02T22:35:06-05:30'"), 1_770_091_506_000_000);
    is_refused("DueAt", "'2026-02-03T04:05:06'");
    is_refused("DueAt", "'2026-02-03'");
    is_refused("DueAt", "'2026-02-30T00:00:00Z'");
    is_refused("DueAt", "'2026-02-03T24:05:06Z'");
    is_refused("DueAt", "'yesterday'");
}

#[test]
fn a_time_is_cut_to_microseconds() {
    assert_eq!(micros("'1970-01-01T00:00:00.5Z'"), 500_000);
    assert_eq!(micros("'1970-01-01T00:00:00.123456Z'"), 123_456);
    assert_eq!(micros("'1970-01-01T00:00:00.123456999Z'"), 123_456);
    assert_eq!(micros("'1970-01-01T00:00:00.1234569999999Z'"), 123_456);
    assert_eq!(micros("'1969-12-31T23:59:59.9999999Z'"), -1);
}

#[test]
fn a_time_may_be_nanoseconds_since_the_epoch() {
    assert_eq!(micros("1770091506000000999"), 1_770_091_506_000_000);
    assert_eq!(micros("-1"), -1);
    assert_eq!(micros("-9223372036854775808"), -9_223_372_036_854_776);
    is_refused("DueAt", "1.5");
    is_refused("DueAt", "99999999999999999999");
}

#[test]
fn a_status_has_a_name_and_a_number() {
    let names = [
        "Running",
        "Completed",
        "Failed",
        "Canceled",
        "Terminated",
        "ContinuedAsNew",
        "TimedOut",
    ];
    for (number, name) in (1..).zip(names) {
        assert_eq!(
            value("ExecutionStatus", &format!("'{name}'")),
            Value::Status(number)
        );
        assert_eq!(
            value("ExecutionStatus", &number.to_string()),
            Value::Status(number)
        );
    }
    is_refused("ExecutionStatus", "0");
    is_refused("ExecutionStatus", "8");
    is_refused("ExecutionStatus", "'1'");
    is_refused("ExecutionStatus", "'Done'");
    is_refused("ExecutionStatus", "''");
}

#[test]
fn a_status_may_be_written_as_protobuf_does() {
    for literal in [
        "'timedout'",
        "'TIMED_OUT'",
        "'WORKFLOW_EXECUTION_STATUS_TIMED_OUT'",
    ] {
        assert_eq!(value("ExecutionStatus", literal), Value::Status(7));
    }
}

#[test]
fn a_duration_is_written_as_in_go() {
    assert_eq!(nanoseconds("'1h30m'"), 5_400_000_000_000);
    assert_eq!(nanoseconds("'250ms'"), 250_000_000);
    assert_eq!(nanoseconds("'-1.5s'"), -1_500_000_000);
    assert_eq!(nanoseconds("'+.5us3.ns'"), 503);
    assert_eq!(nanoseconds("'2µs2μs'"), 4_000);
    assert_eq!(
        nanoseconds("'0.3333333333333333333333h'"),
        1_199_999_999_999
    );
    is_refused("ExecutionDuration", "''");
    is_refused("ExecutionDuration", "'h'");
    is_refused("ExecutionDuration", "'.h'");
    is_refused("ExecutionDuration", "'1h30'");
    is_refused("ExecutionDuration", "'1.2.3s'");
    is_refused("ExecutionDuration", "'1 h'");
    is_refused("ExecutionDuration", "'--1h'");
    is_refused("ExecutionDuration", "'1y'");
}

#[test]
fn a_duration_may_have_days_or_the_form_of_a_clock() {
    assert_eq!(nanoseconds("'1d12h'"), 129_600_000_000_000);
    assert_eq!(nanoseconds("'26:01:05'"), 93_665_000_000_000);
    is_refused("ExecutionDuration", "'00:60:00'");
    is_refused("ExecutionDuration", "'00:00:60'");
    is_refused("ExecutionDuration", "'00:+1:00'");
    is_refused("ExecutionDuration", "'1:00'");
    is_refused("ExecutionDuration", "'1:00:00:00'");
}

#[test]
fn a_duration_may_be_a_number_of_nanoseconds() {
    assert_eq!(nanoseconds("1500"), 1_500);
    assert_eq!(nanoseconds("'1500'"), 1_500);
    assert_eq!(nanoseconds("-9223372036854775808"), i64::MIN);
    assert_eq!(nanoseconds("'-9223372036854775808ns'"), i64::MIN);
    is_refused("ExecutionDuration", "1.5");
    is_refused("ExecutionDuration", "'9223372036854775808ns'");
    is_refused("ExecutionDuration", "'2562048h'");
    is_refused(
        "ExecutionDuration",
        "'18446744073709551615d18446744073709551615d'",
    );
    is_refused("ExecutionDuration", "'99999999999999999999d'");
}
