//! Queries that are too large.

use super::{
    super::{CONDITIONS_MAX, LIST_VALUES_MAX, NESTING_MAX, QUERY_BYTES_MAX},
    parse, refusal,
};

#[test]
fn a_query_has_8_kib_at_most() {
    let query = "Paid = true";
    let longest = format!("{query:<QUERY_BYTES_MAX$}");
    assert!(parse(&longest).is_ok());
    let error = parse(&format!("{longest} ")).unwrap_err();
    assert_eq!(error.at, None);
    assert_eq!(
        error.message,
        "the query has 8193 bytes: write at most 8192"
    );
}

#[test]
fn a_query_has_100_conditions_at_most() {
    let most = vec!["Count = 1"; CONDITIONS_MAX].join(" OR ");
    assert!(parse(&most).is_ok());
    assert_eq!(
        refusal(&format!("{most} OR Count = 1")),
        "the query has more than 100 conditions, at character 1301: \
         write values of the same attribute as a list: WorkflowId IN ('a', 'b')"
    );
}

#[test]
fn a_list_has_100_values_at_most() {
    let most = vec!["1"; LIST_VALUES_MAX].join(",");
    assert!(parse(&format!("Count IN ({most})")).is_ok());
    assert_eq!(
        refusal(&format!("Count IN ({most},1)")),
        "the list has more than 100 values, at character 211: \
         write several lists with OR between them, or several queries"
    );
}

#[test]
fn parentheses_and_nots_are_32_deep_at_most() {
    let nested = |open: &str, depth: usize, close: &str| {
        format!("{}Paid = true{}", open.repeat(depth), close.repeat(depth))
    };
    assert!(parse(&nested("(", NESTING_MAX, ")")).is_ok());
    assert!(parse(&nested("NOT ", NESTING_MAX, "")).is_ok());
    assert_eq!(
        refusal(&nested("(", NESTING_MAX + 1, ")")),
        "more than 32 parentheses and NOTs are nested, at character 33: leave out those that are not needed"
    );
    assert!(refusal(&nested("NOT (", NESTING_MAX / 2 + 1, ")")).contains("are nested"));
}

#[test]
fn parentheses_side_by_side_are_not_deep() {
    let many = vec!["(NOT Count = 1)"; CONDITIONS_MAX].join(" AND ");
    assert!(parse(&many).is_ok());
}

#[test]
fn the_deepest_query_that_fits_needs_little_stack() {
    let deep = "(".repeat(QUERY_BYTES_MAX);
    let small = std::thread::Builder::new().stack_size(256 * 1024);
    let parsed = small.spawn(move || parse(&deep).is_err()).unwrap();
    assert!(parsed.join().unwrap());
}
