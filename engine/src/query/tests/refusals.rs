//! What a user is told.

use super::{super::QueryError, parse, refusal};

#[test]
fn a_refusal_knows_its_place_in_bytes_and_says_it_in_characters() {
    let error = parse("Customer = 'éé' AND Paid = 5").unwrap_err();
    let message =
        "`5` is no value of the Bool attribute `Paid`, at character 28: write true or false";
    assert_eq!(
        error,
        QueryError {
            message: message.to_owned(),
            at: Some(29)
        }
    );
    assert_eq!(error.to_string(), message);
}

#[test]
fn what_is_shown_is_cut() {
    let name = "x".repeat(1000);
    let shown = format!(
        "there is no attribute `{}…`, at character 1: ",
        "x".repeat(40)
    );
    assert!(refusal(&format!("{name} = 1")).starts_with(&shown));
    assert!(refusal(&format!("Count = '{name}'")).len() < 250);
}

#[test]
fn an_unknown_attribute_is_named() {
    assert_eq!(
        refusal("Custmer = 'ann'"),
        "there is no attribute `Custmer`, at character 1: check the name, also its upper and lower case; texts are written in quotes"
    );
    assert!(refusal("`a b` = 'ann'").starts_with("there is no attribute `a b`, at character 1"));
    assert!(refusal("`AND` = 'ann'").starts_with("there is no attribute `AND`, at character 1"));
    assert!(refusal("`` = 'ann'").starts_with("there is no attribute ``, at character 1"));
}

#[test]
fn a_built_in_attribute_is_known_in_any_case() {
    assert_eq!(
        refusal("workflowtype = 'order'"),
        "there is no attribute `workflowtype`, at character 1: write WorkflowType"
    );
}

#[test]
fn an_attribute_comes_first() {
    let advice = "write the attribute first and without quotes, such as WorkflowType = 'order'";
    assert_eq!(
        refusal("'ann' = Customer"),
        format!("`'ann'` is no attribute, at character 1: {advice}")
    );
    assert_eq!(
        refusal("\"Customer\" = 'ann'"),
        format!("`\"Customer\"` is no attribute, at character 1: {advice}")
    );
    assert_eq!(
        refusal("5 < Count"),
        format!("`5` is no attribute, at character 1: {advice}")
    );
}

#[test]
fn a_condition_has_an_attribute() {
    let advice = "write a condition, such as WorkflowType = 'order'";
    assert_eq!(
        refusal("Paid = true AND"),
        format!("an attribute is missing, at the end: {advice}")
    );
    assert_eq!(
        refusal("Paid = true AND  \n"),
        format!("an attribute is missing, at the end: {advice}")
    );
    assert_eq!(
        refusal("OR Paid = true"),
        format!("an attribute is missing before `OR`, at character 1: {advice}")
    );
    assert_eq!(
        refusal("= true"),
        format!("an attribute is missing before `=`, at character 1: {advice}")
    );
    assert_eq!(
        refusal("NOT"),
        format!("an attribute is missing, at the end: {advice}")
    );
    assert_eq!(
        refusal("()"),
        format!("an attribute is missing before `)`, at character 2: {advice}")
    );
    assert_eq!(
        refusal("Paid = true AND ORDER BY Count"),
        format!("an attribute is missing before `ORDER`, at character 17: {advice}")
    );
}

#[test]
fn a_condition_has_an_operator() {
    assert_eq!(
        refusal("Customer"),
        "an operator and a value are missing, at the end: write a condition, such as Customer = 'order-7'"
    );
    assert_eq!(
        refusal("Count == 5"),
        "`==` is no operator, at character 7: write a condition, such as Count = 42"
    );
    assert_eq!(
        refusal("Paid AND Count = 5"),
        "`AND` is no operator, at character 6: write a condition, such as Paid = true"
    );
    assert_eq!(
        refusal("Paid NOT NULL"),
        "`NULL` is no operator, at character 10: write a condition, such as Paid = true"
    );
    assert_eq!(
        refusal("Count NOT = 5"),
        "NOT can't stand before `=`, at character 11: write NOT in front of the attribute"
    );
}

#[test]
fn a_condition_has_a_value() {
    assert_eq!(
        refusal("Customer ="),
        "a value is missing, at the end: write a text in quotes, such as 'order-7'"
    );
    assert_eq!(
        refusal("(Count >= )"),
        "a value is missing before `)`, at character 11: write a whole number of at most 64 bits, such as 42"
    );
    assert_eq!(
        refusal("Count > AND Paid = true"),
        "a value is missing before `AND`, at character 9: write a whole number of at most 64 bits, such as 42"
    );
    assert_eq!(
        refusal("Count = > 5"),
        "a value is missing before `>`, at character 9: write a whole number of at most 64 bits, such as 42"
    );
}

#[test]
fn what_has_no_quotes_is_told_to_have_some() {
    assert_eq!(
        refusal("Customer = ann"),
        "`ann` is not in quotes, at character 12: put it in quotes"
    );
    assert_eq!(
        refusal("WorkflowType = order"),
        "`order` is not in quotes, at character 16: put it in quotes"
    );
    assert_eq!(
        refusal("WorkflowId = order-7"),
        "`order-7` is not in quotes, at character 14: put it in quotes"
    );
    assert_eq!(
        refusal("Tags IN ('a', 5)"),
        "`5` is not in quotes, at character 15: put it in quotes"
    );
    assert_eq!(
        refusal("Note = late"),
        "`late` is not in quotes, at character 8: put it in quotes"
    );
    assert_eq!(
        refusal("StartTime > 2026-02-03T04:05:06+01:00"),
        "`2026-02-03T04:05:06+01:00` is not in quotes, at character 13: put it in quotes"
    );
    assert_eq!(
        refusal("ExecutionStatus = Running"),
        "`Running` is not in quotes, at character 19: put it in quotes"
    );
    assert_eq!(
        refusal("ExecutionDuration > 1h30m"),
        "`1h30m` is not in quotes, at character 21: put it in quotes"
    );
    assert_eq!(
        refusal("WorkflowType STARTS_WITH order"),
        "`order` is not in quotes, at character 26: put it in quotes"
    );
}

#[test]
fn what_has_needless_quotes_is_told_to_have_none() {
    assert_eq!(
        refusal("Count = '5'"),
        "`'5'` is no value of the Int attribute `Count`, at character 9: leave out the quotes"
    );
    assert_eq!(
        refusal("Paid = 'true'"),
        "`'true'` is no value of the Bool attribute `Paid`, at character 8: leave out the quotes"
    );
}

#[test]
fn a_value_that_does_not_fit_is_told_what_does() {
    assert_eq!(
        refusal("Amount = 'much'"),
        "`'much'` is no value of the Double attribute `Amount`, at character 10: write a number, such as 4.2"
    );
    assert_eq!(
        refusal("Note = '!'"),
        "`'!'` is no value of the Text attribute `Note`, at character 8: write one or more words in quotes, such as 'late delivery'"
    );
    assert_eq!(
        refusal("StartTime > '2026-02-03'"),
        "`'2026-02-03'` is no value of the Datetime attribute `StartTime`, at character 13: \
         write a time such as '2026-02-03T04:05:06Z', or the nanoseconds since 1970 as a whole number"
    );
    assert_eq!(
        refusal("StartTime < CloseTime"),
        "`CloseTime` is no value of the Datetime attribute `StartTime`, at character 13: \
         write a time such as '2026-02-03T04:05:06Z', or the nanoseconds since 1970 as a whole number"
    );
    assert_eq!(
        refusal("ExecutionStatus = 'Open'"),
        "`'Open'` is no value of the Status attribute `ExecutionStatus`, at character 19: write one of \
         'Running', 'Completed', 'Failed', 'Canceled', 'Terminated', 'ContinuedAsNew', 'TimedOut'"
    );
    assert_eq!(
        refusal("ExecutionDuration > 'long'"),
        "`'long'` is no value of the Duration attribute `ExecutionDuration`, at character 21: \
         write a duration such as '1h30m', or a whole number of nanoseconds"
    );
    assert_eq!(
        refusal("Customer = `ann`"),
        "``ann`` is no value of the Keyword attribute `Customer`, at character 12: write a text in quotes, such as 'order-7'"
    );
}

#[test]
fn null_is_asked_for_with_is() {
    let null = "no value is equal to NULL, or before or behind it";
    assert_eq!(
        refusal("CloseTime = null"),
        format!("{null}, at character 13: write CloseTime IS NULL or CloseTime IS NOT NULL")
    );
    assert_eq!(
        refusal("Tags IN ('a', NULL)"),
        format!("{null}, at character 15: write Tags IS NULL or Tags IS NOT NULL")
    );
    assert_eq!(
        refusal("Paid IS TRUE"),
        "`IS` has no NULL behind it, at character 9: write IS NULL or IS NOT NULL, and = before other values"
    );
    assert!(refusal("Paid IS NOT").starts_with("`IS` has no NULL behind it, at the end"));
}

#[test]
fn a_list_stands_in_parentheses() {
    assert_eq!(
        refusal("Customer IN 'a', 'b'"),
        "`IN` has no list behind it, at character 13: write the values in parentheses, such as ('order-7')"
    );
    assert_eq!(
        refusal("Count IN ()"),
        "a value is missing before `)`, at character 11: write a whole number of at most 64 bits, such as 42"
    );
    assert_eq!(
        refusal("Count IN (1 2)"),
        "the ( that begins here is never closed, at character 10: write , or ) before `2`"
    );
    assert_eq!(
        refusal("Count IN (1,"),
        "a value is missing, at the end: write a whole number of at most 64 bits, such as 42"
    );
    assert_eq!(
        refusal("Count = (1, 2)"),
        "a list stands behind IN only, at character 9: write the value itself: a whole number of at most 64 bits, such as 42"
    );
}

#[test]
fn a_range_has_an_and() {
    assert_eq!(
        refusal("Count BETWEEN 1, 2"),
        "`BETWEEN` has no AND behind its first value, at character 16: write Count BETWEEN 42 AND 42"
    );
}

#[test]
fn what_is_opened_is_closed() {
    assert_eq!(
        refusal("(Paid = true"),
        "the ( that begins here is never closed, at character 1: write ) at the end"
    );
    assert_eq!(
        refusal("(Paid = true ORDER BY Count"),
        "the ( that begins here is never closed, at character 1: write ) before `ORDER`"
    );
    assert_eq!(
        refusal("Paid = true)"),
        "`)` does not belong here, at character 12: leave it out, or write the ( that it closes"
    );
    assert_eq!(
        refusal("Customer = 'ann"),
        "the ' that begins here is never closed, at character 12: write a ' behind its last character"
    );
    assert!(refusal("Customer = 'ann''").starts_with("the ' that begins here is never closed"));
    assert!(refusal(r"Customer = 'ann\'").starts_with("the ' that begins here is never closed"));
    assert!(refusal(r"Customer = 'ann\").starts_with("the ' that begins here is never closed"));
    assert!(
        refusal("`Customer = 'ann'")
            .starts_with("the ` that begins here is never closed, at character 1")
    );
}

#[test]
fn conditions_are_joined() {
    assert_eq!(
        refusal("Paid = true Count = 5"),
        "`Count` does not belong here, at character 13: write AND, OR or ORDER BY, or end the query"
    );
    assert_eq!(
        refusal("Count = 1 = 1"),
        "`=` does not belong here, at character 11: write AND, OR or ORDER BY, or end the query"
    );
    assert_eq!(
        refusal("Paid = true && Count = 5"),
        "`&` means nothing in a query, at character 13: write AND"
    );
    assert!(refusal("Paid = true || Count = 5").ends_with("write OR"));
    assert!(refusal("!Paid = true").ends_with("write NOT or !="));
    assert!(refusal("Paid = true;").ends_with("write one query, without `;`"));
    assert!(refusal("Customer = *").ends_with("texts are written in quotes, such as 'order-7'"));
}

#[test]
fn a_text_has_no_character_that_postgres_refuses() {
    let nul = "a text has the character NUL, at character 12: leave it out";
    assert_eq!(refusal(r"Customer = 'a\0b'"), nul);
    assert_eq!(refusal("Customer = 'a\0b'"), nul);
}

#[test]
fn like_is_starts_with() {
    assert_eq!(
        refusal("WorkflowType LIKE 'order%'"),
        "`LIKE` can't be used in a query, at character 14: write STARTS_WITH 'order-' for a Keyword, or = 'word' for a Text"
    );
    assert!(
        refusal("WorkflowType NOT LIKE 'order%'")
            .starts_with("`LIKE` can't be used in a query, at character 18")
    );
}

#[test]
fn other_sql_is_told_what_to_do_instead() {
    assert_eq!(
        refusal("Paid = true LIMIT 5"),
        "`LIMIT` can't be used in a query, at character 13: leave it out; the size of a page is given beside the query"
    );
    assert_eq!(
        refusal("GROUP BY ExecutionStatus"),
        "`GROUP` can't be used in a query, at character 1: leave it out, and write one query for each group"
    );
    let select = "write only what stands behind WHERE in SQL, such as WorkflowType = 'order'";
    assert_eq!(
        refusal("where Paid = true"),
        format!("`where` can't be used in a query, at character 1: {select}")
    );
    assert_eq!(
        refusal("Customer IN (SELECT name FROM customer)"),
        format!("`SELECT` can't be used in a query, at character 14: {select}")
    );
    assert_eq!(
        refusal("Customer = (SELECT 'ann')"),
        format!("`SELECT` can't be used in a query, at character 13: {select}")
    );
}

#[test]
fn there_are_no_functions() {
    let condition =
        "write an attribute, an operator and a value, such as WorkflowType STARTS_WITH 'order-'";
    assert_eq!(
        refusal("lower(Customer) = 'ann'"),
        format!("`lower` is called as a function, at character 1: {condition}")
    );
    assert_eq!(
        refusal("STARTS_WITH(WorkflowType, 'order')"),
        format!("`STARTS_WITH` is called as a function, at character 1: {condition}")
    );
    assert_eq!(
        refusal("StartTime > now()"),
        "`now` is called as a function, at character 13: write the value itself: \
         a time such as '2026-02-03T04:05:06Z', or the nanoseconds since 1970 as a whole number"
    );
}
