//! The stored form of a payload, which keeps JSON readable in SQL without giving up a byte:
//! - `{"$p":<json>}`: encoding `json/plain`, no other metadata, and text that `jsonb` accepts as it is;
//! - `{"$b":"<base64>","enc":"<encoding>","meta":{…}}`: everything else;
//! - `{"$x":"<hex SHA-256>"}`: erased; the digest keeps the hash chain whole ([`crate::chain`]).

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
    ser::SerializeMap as _,
};
use serde_json::value::RawValue;

use super::{Encoding, Payload, jsonb};
use crate::hex::{hex, unhex};

/// Returns the payload's text if it can stand in the stored row as it is.
fn inline(payload: &Payload) -> Option<&RawValue> {
    if payload.encoding != Encoding::JsonPlain || !payload.metadata.is_empty() {
        return None;
    }
    let text = std::str::from_utf8(&payload.data).ok()?;
    if text.len() != text.trim().len() || !jsonb::takes(text) {
        return None;
    }
    serde_json::from_str(text).ok()
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(raw) = inline(self) {
            map.serialize_entry("$p", raw)?;
        } else if self.encoding == Encoding::Erased {
            map.serialize_entry("$x", &hex(&self.data))?;
        } else {
            map.serialize_entry("$b", &BASE64.encode(&self.data))?;
            map.serialize_entry("enc", self.encoding.as_str())?;
            if !self.metadata.is_empty() {
                let meta: BTreeMap<&str, String> = self
                    .metadata
                    .iter()
                    .map(|(key, value)| (key.as_str(), BASE64.encode(value)))
                    .collect();
                map.serialize_entry("meta", &meta)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(StoredPayload)
    }
}

struct StoredPayload;

impl<'de> Visitor<'de> for StoredPayload {
    type Value = Payload;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a payload: an object with $p, $b or $x")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Payload, A::Error> {
        let mut payload = Payload::null();
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match &*key {
                "$p" => {
                    let raw: Box<RawValue> = map.next_value()?;
                    payload = Payload::json_text(String::from(Box::<str>::from(raw)));
                }
                "$b" => {
                    let text: String = map.next_value()?;
                    payload.data = BASE64.decode(text).map_err(A::Error::custom)?.into();
                }
                "$x" => {
                    let text: String = map.next_value()?;
                    payload.encoding = Encoding::Erased;
                    payload.data = unhex(&text)
                        .ok_or_else(|| A::Error::custom("$x is not hexadecimal"))?
                        .into();
                }
                "enc" => payload.encoding = Encoding::named(&map.next_value::<String>()?),
                "meta" => {
                    for (key, value) in map.next_value::<BTreeMap<String, String>>()? {
                        payload
                            .metadata
                            .insert(key, BASE64.decode(value).map_err(A::Error::custom)?.into());
                    }
                }
                // Another form of a payload, which this binary does not know: what stands there must not be taken for nothing.
                other if other.starts_with('$') => {
                    return Err(A::Error::custom(format!(
                        "unknown key {other} in a payload"
                    )));
                }
                _ => {
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn stored(payload: &Payload) -> String {
        let text = serde_json::to_string(payload).unwrap();
        assert_eq!(
            &serde_json::from_str::<Payload>(&text).unwrap(),
            payload,
            "read back from {text}"
        );
        text
    }

    #[test]
    fn json_is_stored_as_it_is() {
        assert_eq!(
            stored(&Payload::json_text(r#"{"b": 1.50,"a":[]}"#)),
            r#"{"$p":{"b": 1.50,"a":[]}}"#
        );
    }

    #[test]
    fn json_that_postgres_refuses_is_stored_as_base64() {
        for text in [
            r#""\u0000""#,
            r#""\uD800""#,
            "1e999999",
            "[1E+1000]",
            " 1",
            "nonsense",
        ] {
            assert!(
                stored(&Payload::json_text(text)).starts_with(r#"{"$b":"#),
                "{text}"
            );
        }
        assert!(
            stored(&Payload::json_text("[".repeat(101) + &"]".repeat(101)))
                .starts_with(r#"{"$b":"#)
        );
    }

    #[test]
    fn text_that_looks_unsafe_but_is_not_stays_readable() {
        for text in [
            r#""\\u0000""#,
            r#""1e999999""#,
            "[1e10,2.5e-3]",
            r#""\u00e9""#,
        ] {
            assert_eq!(
                stored(&Payload::json_text(text)),
                format!(r#"{{"$p":{text}}}"#)
            );
        }
    }

    #[test]
    fn other_encodings_keep_bytes_and_metadata() {
        let mut payload = Payload::binary(&b"\x00\xff"[..]);
        payload
            .metadata
            .insert("key".to_owned(), Bytes::from_static(b"v"));
        assert_eq!(
            stored(&payload),
            r#"{"$b":"AP8=","enc":"binary/plain","meta":{"key":"dg=="}}"#
        );
        assert_eq!(stored(&Payload::null()), r#"{"$b":"","enc":"binary/null"}"#);
    }
}
