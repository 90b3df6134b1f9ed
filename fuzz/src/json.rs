//! Damage to JSON that keeps its shape in part, so that it comes further than damaged text does.

use std::fmt;

use serde_json::Value;

use crate::{Dice, text};

/// JSON that may also be what no reader should take: doubled keys, and whatever text as a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// The text of a value, legal or not.
    Raw(String),
    /// A list.
    List(Vec<Self>),
    /// Keys with their values; a key may come twice.
    Object(Vec<(String, Self)>),
}

/// Values that readers stumble over.
const ODD: [&str; 40] = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "2",
    "-0.0",
    "0.5",
    "255",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e15",
    "1e308",
    "1e999",
    "-1e999",
    "NaN",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\u202e\"",
    "\"0\"",
    "\"30s\"",
    "\"-30s\"",
    "\"1e9d\"",
    "\"213503982334601d\"",
    "\"00000000-0000-0000-0000-000000000000\"",
    "\"018f0000-0000-7000-8000-000000000001\"",
    "[]",
    "{}",
    "{\"$p\":[1]}",
];

/// Deeper than any reader goes.
const DEPTH: usize = 10_000;

impl Json {
    /// Reads legal JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(Self::of)
    }

    /// Returns a value as what can be damaged.
    pub fn of(value: Value) -> Self {
        match value {
            Value::Array(list) => Self::List(list.into_iter().map(Self::of).collect()),
            Value::Object(object) => Self::Object(
                object
                    .into_iter()
                    .map(|(key, value)| (key, Self::of(value)))
                    .collect(),
            ),
            plain => Self::Raw(plain.to_string()),
        }
    }

    /// Damages one place: a value, key or entry lost, doubled, moved, changed or come from elsewhere.
    pub fn mutate(&mut self, dice: &mut Dice) {
        let other = self.nodes();
        let other = dice.pick(&other).clone();
        let keys = self.keys();
        let count = self.nodes().len();
        let mut at = dice.below(count);
        if let Some(node) = self.node(&mut at) {
            node.change(dice, other, &keys);
        }
    }

    fn change(&mut self, dice: &mut Dice, other: Self, keys: &[String]) {
        if dice.one_in(6) {
            *self = Self::Raw(odd(dice));
            return;
        }
        if dice.one_in(6) {
            *self = other;
            return;
        }
        match self {
            Self::Raw(raw) => *raw = changed(dice, raw),
            Self::List(list) => change_list(dice, list, other),
            Self::Object(object) => change_object(dice, object, other, keys),
        }
    }

    /// Returns every value in it, itself first.
    fn nodes(&self) -> Vec<&Self> {
        let mut nodes = vec![self];
        let mut at = 0;
        while let Some(node) = nodes.get(at) {
            match node {
                Self::Raw(_) => {}
                Self::List(list) => nodes.extend(list),
                Self::Object(object) => nodes.extend(object.iter().map(|(_, value)| value)),
            }
            at += 1;
        }
        nodes
    }

    fn keys(&self) -> Vec<String> {
        self.nodes()
            .into_iter()
            .filter_map(|node| match node {
                Self::Object(object) => Some(object.iter().map(|(key, _)| key.clone())),
                Self::Raw(_) | Self::List(_) => None,
            })
            .flatten()
            .collect()
    }

    /// Returns a value by its place in depth; counts down what it passes.
    fn node(&mut self, at: &mut usize) -> Option<&mut Self> {
        if *at == 0 {
            return Some(self);
        }
        *at -= 1;
        match self {
            Self::Raw(_) => None,
            Self::List(list) => list.iter_mut().find_map(|value| value.node(at)),
            Self::Object(object) => object.iter_mut().find_map(|(_, value)| value.node(at)),
        }
    }
}

fn change_list(dice: &mut Dice, list: &mut Vec<Json>, other: Json) {
    let at = dice.below(list.len());
    match dice.below(6) {
        0 | 1 if at < list.len() => drop(list.remove(at)),
        2 if at < list.len() => {
            let twice = list[at].clone();
            list.insert(dice.below(list.len() + 1), twice);
        }
        3 if at < list.len() => {
            let with = dice.below(list.len());
            list.swap(at, with);
        }
        4 => list.truncate(at),
        _ => list.insert(at, other),
    }
}

fn change_object(dice: &mut Dice, object: &mut Vec<(String, Json)>, other: Json, keys: &[String]) {
    let at = dice.below(object.len());
    let key = if keys.is_empty() || dice.one_in(4) {
        dice.pick(&text::ODD).to_owned()
    } else {
        keys[dice.below(keys.len())].clone()
    };
    match dice.below(5) {
        0 if at < object.len() => drop(object.remove(at)),
        1 if at < object.len() => {
            let twice = (object[at].0.clone(), other);
            object.push(twice);
        }
        2 if at < object.len() => object[at].0 = key,
        3 if at < object.len() => object[at].1 = other,
        _ => object.push((key, other)),
    }
}

fn odd(dice: &mut Dice) -> String {
    match dice.below(20) {
        0 => "[".repeat(DEPTH) + &"]".repeat(DEPTH),
        1 => "{\"a\":".repeat(DEPTH) + "1" + &"}".repeat(DEPTH),
        2 => "9".repeat(DEPTH),
        3 => quoted(&"x".repeat(DEPTH)),
        4 | 5 => quoted(dice.pick(&text::ODD)),
        _ => dice.pick(&ODD).to_owned(),
    }
}

/// Returns a plain value close to another one.
fn changed(dice: &mut Dice, raw: &str) -> String {
    if let Ok(number) = raw.parse::<i64>() {
        let near = [
            number.wrapping_add(1),
            number.wrapping_sub(1),
            number.wrapping_neg(),
            number.wrapping_mul(1000),
            number / 2,
            0,
            1,
        ];
        return dice.pick(&near).to_string();
    }
    match serde_json::from_str::<String>(raw) {
        Ok(text) if !dice.one_in(4) => quoted(&text::mutated(dice, &text)),
        _ => odd(dice),
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw(raw) => f.write_str(raw),
            Self::List(list) => {
                f.write_str("[")?;
                for (at, value) in list.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma}{value}")?;
                }
                f.write_str("]")
            }
            Self::Object(object) => {
                f.write_str("{")?;
                for (at, (key, value)) in object.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma}{}:{value}", quoted(key))?;
                }
                f.write_str("}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_not_damaged_is_written_as_it_was() {
        let text = r#"{"a":[1,"two",{"b":null}],"c":{}}"#;

        assert_eq!(Json::read(text).unwrap().to_string(), text);
    }

    #[test]
    fn damage_comes_in_many_forms_and_reaches_every_depth() {
        let text = r#"{"a":[1,"two",{"b":null}],"c":{}}"#;
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let mut dice = Dice::new(seed);
            let mut json = Json::read(text).unwrap();
            json.mutate(&mut dice);
            seen.insert(json.to_string());
        }
        let kept = |part: &str| seen.iter().filter(|text| text.contains(part)).count();

        assert!(seen.len() > 100, "{}", seen.len());
        assert!(kept("\"two\"") > 50, "most of it stays");
        assert!(seen.len() - kept("\"b\":null") > 20);
    }
}
