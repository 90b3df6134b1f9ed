//! User data: bytes and metadata with an encoding, as Temporal's `Payload`.

mod jsonb;
mod stored;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

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
