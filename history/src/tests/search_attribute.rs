//! Which values a search attribute may have.

use crate::{
    Payload, SearchAttributeType as Type, Timestamp,
    event::SearchAttributes,
    limits::{SEARCH_ATTRIBUTE_BYTES_MAX, SEARCH_ATTRIBUTES_MAX},
    search_attribute::{
        BadSearchAttributes as Bad, Misfit, SearchAttributeValue as Value, check, words,
    },
};

fn json(text: &str) -> Payload {
    Payload::json_text(text.to_owned())
}

fn of(name: &str, text: &str) -> SearchAttributes {
    SearchAttributes::from([(name.to_owned(), json(text))])
}

fn declared(name: &str) -> Option<Type> {
    Type::named(name)
}

#[test]
fn each_type_reads_its_own_values() {
    let moment = Timestamp(1_770_091_506_000_000);
    let texts = vec!["a".to_owned(), "b".to_owned()];
    for (ty, text, value) in [
        (
            Type::Text,
            r#""so it is""#,
            Value::Text("so it is".to_owned()),
        ),
        (Type::Keyword, r#""""#, Value::Keyword(String::new())),
        (Type::Int, "-9223372036854775808", Value::Int(i64::MIN)),
        (Type::Double, "1", Value::Double(1.0)),
        (Type::Double, "-0.0e7", Value::Double(-0.0)),
        (Type::Bool, "true", Value::Bool(true)),
        (
            Type::Datetime,
            r#""2026-02-03T05:05:06+01:00""#,
            Value::Datetime(moment),
        ),
        (
            Type::KeywordList,
            r#"["a", "b"]"#,
            Value::KeywordList(texts),
        ),
    ] {
        assert_eq!(ty.read(&json(text)), Ok(Some(value)));
        assert_eq!(ty.read(&json("null")), Ok(None), "null takes it away");
        assert_eq!(ty.read(&Payload::null()), Ok(None));
    }
}

#[test]
fn a_value_of_another_type_is_refused_with_what_it_is_to_be() {
    for (ty, text) in [
        (Type::Text, "1"),
        (Type::Keyword, r#"["a"]"#),
        (Type::Int, "1.5"),
        (Type::Int, "9223372036854775808"),
        (Type::Double, r#""1""#),
        (Type::Double, "1e999"),
        (Type::Double, "1e-20000"),
        (Type::Double, "0e-20000"),
        (Type::Bool, "0"),
        (Type::Datetime, "1770091506"),
        (Type::Datetime, r#""yesterday""#),
        (Type::KeywordList, r#""a""#),
    ] {
        assert_eq!(ty.read(&json(text)), Err(Misfit::OtherType(ty)), "{text}");
    }
    let binary = Payload::binary("a");
    assert_eq!(
        Type::Keyword.read(&binary),
        Err(Misfit::OtherType(Type::Keyword))
    );
    let refused = check(&of("Int", "\"x\""), declared).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "search attribute Int is not an Int, a whole number of 64 bits"
    );
}

#[test]
fn what_is_not_declared_or_too_large_or_can_t_be_stored_is_refused() {
    assert_eq!(
        check(&of("Other", "1"), declared),
        Err(Bad::Unknown("Other".to_owned()))
    );
    let long = format!("\"{}\"", "x".repeat(SEARCH_ATTRIBUTE_BYTES_MAX));
    for (text, misfit) in [
        (long.as_str(), Misfit::TooLarge(long.len())),
        ("\"a\\u0000\"", Misfit::Nul),
    ] {
        let name = "Keyword".to_owned();
        assert_eq!(
            check(&of("Keyword", text), declared),
            Err(Bad::Misfit { name, misfit })
        );
    }
    let list = of("KeywordList", "[\"a\\u0000\"]");
    assert!(matches!(
        check(&list, declared),
        Err(Bad::Misfit {
            misfit: Misfit::Nul,
            ..
        })
    ));
    let many = (0..=SEARCH_ATTRIBUTES_MAX).map(|n| (n.to_string(), json("1")));
    let many: SearchAttributes = many.collect();
    let any = |_: &str| Some(Type::Int);
    assert_eq!(
        check(&many, any),
        Err(Bad::TooMany(SEARCH_ATTRIBUTES_MAX + 1))
    );
    let large: SearchAttributes = (0..30)
        .map(|n| (n.to_string(), json(&format!("\"{}\"", "x".repeat(1500)))))
        .collect();
    let any = |_: &str| Some(Type::Keyword);
    assert!(matches!(check(&large, any), Err(Bad::TooLarge(45_110..))));
}

#[test]
fn a_type_is_known_by_temporals_name_and_number() {
    for (number, name) in [
        (1, "Text"),
        (2, "keyword"),
        (6, "DATETIME"),
        (7, "KeywordList"),
    ] {
        let ty = Type::named(name).unwrap();
        assert_eq!((ty.number(), Type::numbered(number)), (number, Some(ty)));
    }
    assert_eq!((Type::named("String"), Type::numbered(0)), (None, None));
}

#[test]
fn a_text_is_searched_by_its_words() {
    let found: Vec<String> = words("  Order #12: Äpfel, über-reif! ").collect();
    assert_eq!(found, ["order", "12", "äpfel", "über", "reif"]);
}
