//! The requests that earlier runs of a workflow id have heard: sent again, they have no second effect on a later run.
//!
//! A run that takes an id over is told of them by the run before it ([`crate::Note::RequestsHeard`]), which was told by the run
//! before that. So nothing has to be looked up anywhere when a request comes; and a run of a new id carries nothing.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    ids::{RequestId, RunId},
    time::Timestamp,
};

/// What a request asks for. The same id may name one request of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    Start,
    Signal,
    Cancel,
}

/// What a request is known by later: the first 96 bits of its SHA-256, so that an id of 1,000 bytes costs no more to be carried
/// than a short one. Two of 10,000 requests are the same by chance once in 10^21 times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestDigest([u8; 12]);

impl RequestDigest {
    pub(crate) fn of(asks: Asks, request_id: &RequestId) -> Self {
        let kind = match asks {
            Asks::Start => b's',
            Asks::Signal => b'm',
            Asks::Cancel => b'c',
        };
        let hash = Sha256::new()
            .chain_update([kind])
            .chain_update(request_id.as_str())
            .finalize();
        let mut digest = [0; 12];
        digest.copy_from_slice(&hash[..12]);
        Self(digest)
    }
}

/// What one run heard, as later runs of its id know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestsHeard {
    /// When the run ended, or gave way to the next one.
    pub until: Timestamp,
    /// Its signals and cancellations, in the order in which they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "packed")]
    pub messages: Vec<RequestDigest>,
    /// The starts that attached to it, and the one that began its chain if another start has ended that.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "packed")]
    pub starts: Vec<StartHeard>,
}

/// What a start was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartHeard {
    /// The request.
    pub request: RequestDigest,
    /// The run that it began, or found.
    pub run_id: RunId,
    /// Whether it began it.
    pub began: bool,
}

/// What is stored as so many bytes: as JSON it would take more than twice as many, in the first row of each run of a busy id.
trait Packed: Sized {
    const BYTES: usize;

    fn pack(&self, bytes: &mut Vec<u8>);

    fn unpack(bytes: &[u8]) -> Option<Self>;
}

impl Packed for RequestDigest {
    const BYTES: usize = 12;

    fn pack(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.0);
    }

    fn unpack(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl Packed for StartHeard {
    const BYTES: usize = RequestDigest::BYTES + 16 + 1;

    fn pack(&self, bytes: &mut Vec<u8>) {
        self.request.pack(bytes);
        bytes.extend(self.run_id.0.as_bytes());
        bytes.push(u8::from(self.began));
    }

    fn unpack(bytes: &[u8]) -> Option<Self> {
        let (request, rest) = bytes.split_at_checked(RequestDigest::BYTES)?;
        let (began, run_id) = rest.split_last()?;
        Some(Self {
            request: RequestDigest::unpack(request)?,
            run_id: RunId(Uuid::from_slice(run_id).ok()?),
            began: *began != 0,
        })
    }
}

/// A list of them as one text, in base64.
mod packed {
    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::Packed;

    pub(super) fn serialize<T: Packed, S: Serializer>(
        items: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(items.len() * T::BYTES);
        for item in items {
            item.pack(&mut bytes);
        }
        serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, T: Packed, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(D::Error::custom)?;
        let items = bytes.chunks(T::BYTES).map(T::unpack);
        items
            .collect::<Option<_>>()
            .ok_or_else(|| D::Error::custom("requests that were heard end in the middle of one"))
    }
}
