//! JSON text that is read without being understood, and written piece by piece.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Error, value::RawValue};

/// Writes a value of an enum: the prefix and the name in capitals.
pub(super) fn enum_value(prefix: &str, name: &str) -> Result<String, Error> {
    quoted(&format!("{prefix}_{}", snake(name).to_uppercase()))
}

/// Returns a text in quotes, escaped.
pub(super) fn quoted(text: &impl ToString) -> Result<String, Error> {
    serde_json::to_string(&text.to_string())
}

/// Returns `snake_case` as `camelCase`.
pub(super) fn camel(field: &str) -> String {
    let mut parts = field.split('_');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(part.len().min(1));
        name.push_str(&first.to_uppercase());
        name.push_str(rest);
    }
    name
}

/// Returns `PascalCase` as `snake_case`.
pub(super) fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    for (at, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// Returns the name and the content of a variant that serde stored: `{"Name":{…}}` or `"Name"`.
pub(super) fn variant(stored: &str) -> Result<(&str, Option<&RawValue>), Error> {
    if stored.starts_with('"') {
        return Ok((serde_json::from_str(stored)?, None));
    }
    let mut fields: Fields<'_> = serde_json::from_str(stored)?;
    match fields.0.pop() {
        Some((name, content)) if fields.0.is_empty() => Ok((name, Some(content))),
        _ => Err(serde::de::Error::custom("an enum has one variant")),
    }
}

/// The fields of a stored object, in order.
pub(super) struct Fields<'a>(pub(super) Vec<(&'a str, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(&'de str, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(InOrder).map(Fields)
    }
}

/// A JSON object that is being written.
#[derive(Default)]
pub(super) struct Object(String);

impl Object {
    /// Adds a field with a value that is JSON.
    pub(super) fn put(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        // A name is an identifier or a user's key; Value's text is that of a JSON string.
        self.0.push_str(&serde_json::Value::from(name).to_string());
        self.0.push(':');
        self.0.push_str(value);
    }

    /// Returns the whole object.
    pub(super) fn close(mut self) -> String {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        self.0
    }
}
