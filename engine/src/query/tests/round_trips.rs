//! What is written as text is read as what it was.

use super::{
    super::{Attribute, Comparison, Condition, Direction, Filter, Order, Query, Test, Type, Value},
    attributes, parse,
};

const NAMES: [&str; 9] = [
    "Customer",
    "Tags",
    "Note",
    "Count",
    "Amount",
    "Paid",
    "DueAt",
    "ExecutionStatus",
    "ExecutionDuration",
];

#[test]
fn a_query_that_is_written_is_read_as_it_was() {
    for seed in 0..2_000 {
        let random = &mut fastrand::Rng::with_seed(seed);
        let query = Query {
            filter: (!random.u8(..).is_multiple_of(16)).then(|| filter(random, 4)),
            order: random.bool().then(|| order(random)).into_iter().collect(),
        };
        let text = written(&query);
        assert_eq!(parse(&text), Ok(query), "seed {seed}: {text}");
    }
}

fn filter(random: &mut fastrand::Rng, depth: u8) -> Filter {
    let kind = if depth == 0 { 3 } else { random.u8(..4) };
    let several = |random: &mut fastrand::Rng| -> Vec<Filter> {
        (0..random.u8(2..4))
            .map(|_| filter(random, depth - 1))
            .collect()
    };
    match kind {
        0 => {
            let mut filters = several(random);
            filters.retain(|filter| !matches!(filter, Filter::And(_)));
            joined(filters, Filter::And).unwrap_or_else(|| filter(random, 0))
        }
        1 => {
            let mut filters = several(random);
            filters.retain(|filter| !matches!(filter, Filter::Or(_)));
            joined(filters, Filter::Or).unwrap_or_else(|| filter(random, 0))
        }
        2 => Filter::Not(Box::new(filter(random, depth - 1))),
        _ => Filter::Condition(condition(random)),
    }
}

fn joined(filters: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Option<Filter> {
    (filters.len() > 1).then(|| join(filters))
}

fn order(random: &mut fastrand::Rng) -> Order {
    let attribute = loop {
        let attribute = attribute(random);
        if !matches!(attribute.ty, Type::Text | Type::KeywordList) {
            break attribute;
        }
    };
    let directions = [Direction::Ascending, Direction::Descending];
    let direction = directions[random.usize(..2)];
    Order {
        attribute,
        direction,
    }
}

fn attribute(random: &mut fastrand::Rng) -> Attribute {
    attributes(NAMES[random.usize(..NAMES.len())]).expect("it is one of the namespace")
}

fn condition(random: &mut fastrand::Rng) -> Condition {
    let attribute = attribute(random);
    let ordered = matches!(
        attribute.ty,
        Type::Keyword | Type::Int | Type::Double | Type::Datetime | Type::Duration
    );
    let listed = !matches!(attribute.ty, Type::Text | Type::Bool);
    let mut value = || value(random, attribute.ty);
    let values = vec![value(), value()];
    let (one, other) = (value(), value());
    let test = match random.u8(..14) {
        0 => Test::Compare(Comparison::NotEqual, one),
        1 if ordered => Test::Compare(Comparison::Less, one),
        2 if ordered => Test::Compare(Comparison::LessOrEqual, one),
        3 if ordered => Test::Compare(Comparison::Greater, one),
        4 if ordered => Test::Compare(Comparison::GreaterOrEqual, one),
        5 if ordered => Test::Between(one, other),
        6 if ordered => Test::NotBetween(one, other),
        7 if listed => Test::In(values),
        8 if listed => Test::NotIn(values),
        9 if attribute.ty == Type::Keyword => Test::StartsWith(text(random)),
        10 if attribute.ty == Type::Keyword => Test::NotStartsWith(text(random)),
        11 => Test::IsNull,
        12 => Test::IsNotNull,
        _ => Test::Compare(Comparison::Equal, one),
    };
    Condition { attribute, test }
}

fn value(random: &mut fastrand::Rng, ty: Type) -> Value {
    match ty {
        Type::Keyword | Type::KeywordList => Value::Keyword(text(random)),
        Type::Text => Value::Words(vec!["late".to_owned(), random.lowercase().to_string()]),
        Type::Int => Value::Int(random.i64(..)),
        Type::Double => Value::Double((random.f64() - 0.5) * 1e9),
        Type::Bool => Value::Bool(random.bool()),
        Type::Datetime => Value::Datetime(random.i64(-1 << 52..1 << 52)),
        Type::Status => Value::Status(random.u8(1..=7)),
        Type::Duration => Value::Duration(random.i64(..)),
    }
}

fn text(random: &mut fastrand::Rng) -> String {
    const CHARACTERS: [char; 12] = [
        'a', 'B', '7', ' ', '\'', '"', '\\', '`', '%', 'é', '\n', '(',
    ];
    (0..random.usize(..6))
        .map(|_| CHARACTERS[random.usize(..12)])
        .collect()
}

fn written(query: &Query) -> String {
    let mut parts: Vec<String> = query.filter.iter().map(written_filter).collect();
    parts.extend(query.order.iter().map(|order| {
        let direction = match order.direction {
            Direction::Ascending => "",
            Direction::Descending => " DESC",
        };
        format!("ORDER BY {}{direction}", order.attribute.name)
    }));
    parts.join(" ")
}

fn written_filter(filter: &Filter) -> String {
    let all = |filters: &[Filter], word: &str| {
        let written: Vec<String> = filters.iter().map(written_filter).collect();
        format!("({})", written.join(word))
    };
    match filter {
        Filter::And(filters) => all(filters, " AND "),
        Filter::Or(filters) => all(filters, " OR "),
        Filter::Not(filter) => format!("NOT {}", written_filter(filter)),
        Filter::Condition(condition) => {
            format!(
                "`{}` {}",
                condition.attribute.name,
                written_rest(&condition.test)
            )
        }
    }
}

fn written_rest(rest: &Test) -> String {
    let list = |values: &[Value]| {
        let written: Vec<String> = values.iter().map(written_value).collect();
        written.join(", ")
    };
    match rest {
        Test::Compare(comparison, value) => {
            let sign = match comparison {
                Comparison::Equal => "=",
                Comparison::NotEqual => "!=",
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
            };
            format!("{sign} {}", written_value(value))
        }
        Test::In(values) => format!("IN ({})", list(values)),
        Test::NotIn(values) => format!("NOT IN ({})", list(values)),
        Test::Between(from, to) => {
            format!("BETWEEN {} AND {}", written_value(from), written_value(to))
        }
        Test::NotBetween(from, to) => format!(
            "NOT BETWEEN {} AND {}",
            written_value(from),
            written_value(to)
        ),
        Test::IsNull => "IS NULL".to_owned(),
        Test::IsNotNull => "IS NOT NULL".to_owned(),
        Test::StartsWith(text) => format!("STARTS_WITH {}", written_text(text)),
        Test::NotStartsWith(text) => format!("NOT STARTS_WITH {}", written_text(text)),
    }
}

fn written_value(value: &Value) -> String {
    match value {
        Value::Keyword(text) => written_text(text),
        Value::Int(number) | Value::Duration(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Datetime(micros) => (micros * 1000).to_string(),
        Value::Status(number) => number.to_string(),
        Value::Words(words) => written_text(&words.join(" ")),
    }
}

fn written_text(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}
