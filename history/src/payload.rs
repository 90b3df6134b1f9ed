//! User data: bytes and metadata with an encoding, as Temporal's `Payload`.
//!
//! The stored form keeps JSON readable in SQL without giving up a byte:
//! - `{"$p":<json>}`: encoding `json/plain`, no other metadata, and text that `jsonb` accepts as it is;
//! - `{"$b":"<base64>","enc":"<encoding>","meta":{…}}`: everything else;
//! - `{"$x":"<hex SHA-256>"}`: erased; the digest keeps the hash chain whole ([`crate::chain`]).

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
    ser::SerializeMap as _,
};
use serde_json::value::RawValue;

/// A list of payloads: the arguments of a call, or its result. Temporal: `Payloads`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Payloads(pub Vec<Payload>);

/// Says whether a key opens a payload's stored form, so that no map of a user may have it.
pub fn is_reserved(key: &str) -> bool {
    matches!(key, "$p" | "$b" | "$x")
}

/// The metadata key of the encoding.
pub const ENCODING: &str = "encoding";

/// One value of a user. Temporal: `Payload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// How `data` is to be read.
    pub encoding: Encoding,
    /// The other metadata, by key; without `encoding`.
    pub metadata: BTreeMap<String, Bytes>,
    /// The bytes.
    pub data: Bytes,
}

/// The encodings that Temporal's SDKs know by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoding {
    /// `json/plain`: UTF-8 JSON.
    JsonPlain,
    /// `binary/plain`: bytes.
    BinaryPlain,
    /// `binary/null`: no value; `data` is empty.
    BinaryNull,
    /// Erased on request; `data` is the SHA-256 of what stood here.
    Erased,
    /// Any other name.
    Other(Box<str>),
}

impl Encoding {
    /// Returns the encoding of that name.
    pub fn named(name: &str) -> Self {
        match name {
            "json/plain" => Self::JsonPlain,
            "binary/plain" => Self::BinaryPlain,
            "binary/null" => Self::BinaryNull,
            "coreason/erased" => Self::Erased,
            other => Self::Other(other.into()),
        }
    }

    /// Returns the name in Temporal's metadata.
    pub fn as_str(&self) -> &str {
        match self {
            Self::JsonPlain => "json/plain",
            Self::BinaryPlain => "binary/plain",
            Self::BinaryNull => "binary/null",
            Self::Erased => "coreason/erased",
            Self::Other(name) => name,
        }
    }
}

/// Why a payload can't be read as a value.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Only `json/plain` and `binary/null` can be read as JSON.
    #[error("payload has encoding {0}, not json/plain")]
    Encoding(String),
    /// The JSON is of another shape.
    #[error("payload is not of the expected shape")]
    Shape(#[source] serde_json::Error),
}

impl Payload {
    /// Returns a value as JSON.
    ///
    /// # Errors
    /// When the value can't be JSON: a map with keys that are no strings, or its own error.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::json_text(serde_json::to_vec(value)?))
    }

    /// Returns a payload of bytes that are JSON already.
    pub fn json_text(text: impl Into<Bytes>) -> Self {
        Self {
            encoding: Encoding::JsonPlain,
            metadata: BTreeMap::new(),
            data: text.into(),
        }
    }

    /// Returns the payload of no value.
    pub fn null() -> Self {
        Self {
            encoding: Encoding::BinaryNull,
            metadata: BTreeMap::new(),
            data: Bytes::new(),
        }
    }

    /// Returns a payload of bytes.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self {
            encoding: Encoding::BinaryPlain,
            metadata: BTreeMap::new(),
            data: data.into(),
        }
    }

    /// Reads the value.
    ///
    /// # Errors
    /// When the encoding is not JSON or the JSON has another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        match self.encoding {
            Encoding::JsonPlain => serde_json::from_slice(&self.data).map_err(ReadError::Shape),
            Encoding::BinaryNull => serde_json::from_slice(b"null").map_err(ReadError::Shape),
            Encoding::BinaryPlain | Encoding::Erased | Encoding::Other(_) => {
                Err(ReadError::Encoding(self.encoding.as_str().to_owned()))
            }
        }
    }

    /// Says whether it stands for no value: `binary/null`, or the JSON `null`.
    pub fn is_null(&self) -> bool {
        match self.encoding {
            Encoding::BinaryNull => true,
            Encoding::JsonPlain => self.data.trim_ascii() == b"null",
            Encoding::BinaryPlain | Encoding::Erased | Encoding::Other(_) => false,
        }
    }

    /// Returns the bytes it counts for in limits: data and metadata.
    pub fn size(&self) -> usize {
        self.data.len()
            + self.encoding.as_str().len()
            + self
                .metadata
                .iter()
                .map(|(key, value)| key.len() + value.len())
                .sum::<usize>()
    }
}

impl Payloads {
    /// Returns a list of one.
    pub fn one(payload: Payload) -> Self {
        Self(vec![payload])
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bytes all count for in limits.
    pub fn size(&self) -> usize {
        self.0.iter().map(Payload::size).sum()
    }
}

/// Says whether Postgres takes this JSON text as `jsonb` without an error: no `\u0000`, no
/// surrogate escapes, no number beyond `numeric`, and no depth that costs its stack.
fn jsonb_safe(text: &str) -> bool {
    const DEPTH_MAX: usize = 100;
    const NUMBER_BYTES_MAX: usize = 300;
    let (mut depth, mut number, mut in_string) = (0_usize, 0_usize, false);
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if in_string {
            match byte {
                b'\\' if bytes.get(at + 1) == Some(&b'u') => {
                    let code = bytes
                        .get(at + 2..at + 6)
                        .unwrap_or(b"0000")
                        .to_ascii_lowercase();
                    if code == b"0000" || (code[0] == b'd' && code[1] >= b'8') {
                        return false;
                    }
                    at += 1;
                }
                b'\\' => at += 1,
                b'"' => in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            // An exponent may name a number of any size in a few bytes, so any exponent of over two digits is too many.
            number = match byte {
                b'0'..=b'9' | b'.' | b'-' | b'+' => number + 1,
                b'e' | b'E' if number > 0 => NUMBER_BYTES_MAX - 3,
                _ => 0,
            };
            if depth > DEPTH_MAX || number > NUMBER_BYTES_MAX {
                return false;
            }
        }
        at += 1;
    }
    true
}

/// Returns the payload's text if it can stand in the stored row as it is.
fn inline(payload: &Payload) -> Option<&RawValue> {
    if payload.encoding != Encoding::JsonPlain || !payload.metadata.is_empty() {
        return None;
    }
    let text = std::str::from_utf8(&payload.data).ok()?;
    if text.len() != text.trim().len() || !jsonb_safe(text) {
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

/// Returns bytes as lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Returns the bytes of hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    text.as_bytes()
        .chunks(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?))
        .collect()
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
