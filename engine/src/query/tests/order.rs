//! `ORDER BY`.

use super::{
    super::{Direction, Order, Query, Type},
    attribute, filter, parse, refusal,
};

fn order(name: &str, ty: Type, direction: Direction) -> Vec<Order> {
    let attribute = attribute(name, ty);
    vec![Order {
        attribute,
        direction,
    }]
}

#[test]
fn an_order_ascends_unless_it_says_desc() {
    let ascending = order("StartTime", Type::Datetime, Direction::Ascending);
    let descending = order("StartTime", Type::Datetime, Direction::Descending);
    assert_eq!(parse("ORDER BY StartTime").unwrap().order, ascending);
    assert_eq!(parse("order by `StartTime` asc").unwrap().order, ascending);
    assert_eq!(parse("Order By StartTime Desc").unwrap().order, descending);
}

#[test]
fn an_order_stands_behind_the_filter() {
    let query = Query {
        filter: Some(filter("Paid = true")),
        order: order("Customer", Type::Keyword, Direction::Descending),
    };
    assert_eq!(parse("Paid = true ORDER BY Customer DESC").unwrap(), query);
}

#[test]
fn every_attribute_with_one_value_gives_an_order() {
    for name in [
        "Customer",
        "Count",
        "Amount",
        "Paid",
        "DueAt",
        "ExecutionStatus",
        "ExecutionDuration",
    ] {
        assert!(parse(&format!("ORDER BY {name}")).is_ok(), "{name}");
    }
}

#[test]
fn texts_and_lists_give_no_order() {
    assert_eq!(
        refusal("ORDER BY Note"),
        "runs have no order by the Text attribute `Note`, at character 10: \
         order them by an attribute with one value, such as StartTime"
    );
    assert!(
        refusal("ORDER BY Tags")
            .starts_with("runs have no order by the KeywordList attribute `Tags`")
    );
}

#[test]
fn an_order_has_one_attribute() {
    assert_eq!(
        refusal("ORDER BY StartTime, Customer"),
        "`,` does not belong here, at character 19: \
         order by one attribute at most; runs that are equal in it are ordered by their run ids"
    );
}

#[test]
fn an_order_names_its_attribute() {
    let missing =
        "an attribute is missing, at the end: write a condition, such as WorkflowType = 'order'";
    assert_eq!(refusal("ORDER BY"), missing);
    assert_eq!(
        refusal("ORDER StartTime"),
        "`ORDER` has no `BY` behind it, at character 7: write ORDER BY StartTime, or an attribute called Order in backticks"
    );
}

#[test]
fn nothing_follows_an_order() {
    assert_eq!(
        refusal("ORDER BY StartTime NULLS LAST"),
        "`NULLS` does not belong here, at character 20: write ASC or DESC, or end the query"
    );
    assert!(
        refusal("ORDER BY StartTime LIMIT 5")
            .starts_with("`LIMIT` can't be used in a query, at character 20")
    );
    assert!(
        refusal("ORDER BY StartTime DESC AND Paid = true")
            .starts_with("`AND` does not belong here")
    );
}
