//! The hash chain of a run: each stored row is bound to the row before it.
//!
//! A row's hash is SHA-256 over the format version, the namespace, the run id, the row's number, its
//! first event id, the hash of the row before it, and the stored text, in which every payload
//! is replaced by its own SHA-256. So a payload may be erased (`{"$x":"<digest>"}`) and the chain stays whole.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::hex::unhex;

/// The version of the stored form that is written. It stands in each row and under its hash; what it means to readers
/// stands at [`crate::record::read`].
pub const VERSION: i16 = 1;

/// A row's hash.
pub type Hash = [u8; 32];

/// What the first row of a run has as the hash before it.
pub const GENESIS: Hash = [0; 32];

/// A row, as it is hashed.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The stored form's version.
    pub version: i16,
    /// The namespace's name.
    pub namespace: &'a str,
    /// The run.
    pub run_id: Uuid,
    /// The row's number in its run, from 0 without gaps.
    pub seq: i32,
    /// The first event id in the row, or the next one if it holds only notes.
    pub first_event_id: i64,
    /// The stored text: a JSON array of records.
    pub records: &'a str,
}

/// Returns the row's hash after the row that has `previous`.
pub fn hash(previous: &Hash, row: Row<'_>) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(row.version.to_be_bytes());
    hasher.update(
        u64::try_from(row.namespace.len())
            .unwrap_or(u64::MAX)
            .to_be_bytes(),
    );
    hasher.update(row.namespace);
    hasher.update(row.run_id.as_bytes());
    hasher.update(row.seq.to_be_bytes());
    hasher.update(row.first_event_id.to_be_bytes());
    hasher.update(previous);
    let mut rest = row.records;
    while let Some(start) = next_payload(rest) {
        let length = object_length(&rest[start..]);
        hasher.update(&rest[..start]);
        hasher.update(payload_digest(&rest[start..start + length]));
        rest = &rest[start + length..];
    }
    hasher.update(rest);
    hasher.finalize().into()
}

/// Returns where the next payload starts. The text `{"$p":` opens one wherever it stands, because a
/// quote inside a JSON string is always escaped, and nothing else has such a key ([`crate::payload::is_reserved`]).
fn next_payload(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find("{\"$") {
        let start = from + at;
        let key = text.as_bytes().get(start + 3..start + 6);
        if matches!(key, Some([b'p' | b'b' | b'x', b'"', b':'])) {
            return Some(start);
        }
        from = start + 3;
    }
    None
}

/// Returns the length in bytes of the object that the text opens with.
fn object_length(text: &str) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// Returns the digest of a payload's stored text, or the digest that an erased one left.
fn payload_digest(text: &str) -> Hash {
    text.strip_prefix("{\"$x\":\"")
        .and_then(|rest| rest.strip_suffix("\"}"))
        .and_then(unhex)
        .and_then(|digest| digest.try_into().ok())
        .unwrap_or_else(|| Sha256::digest(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::hex;

    fn row(records: &str) -> Row<'_> {
        Row {
            version: VERSION,
            namespace: "default",
            run_id: Uuid::nil(),
            seq: 0,
            first_event_id: 1,
            records,
        }
    }

    #[test]
    fn every_part_of_a_row_is_under_its_hash() {
        let base = row(r#"[{"a":{"$p":[1]}}]"#);
        let other = [
            Row { version: 2, ..base },
            Row {
                namespace: "other",
                ..base
            },
            Row {
                run_id: Uuid::max(),
                ..base
            },
            Row { seq: 1, ..base },
            Row {
                first_event_id: 2,
                ..base
            },
            Row {
                records: r#"[{"a":{"$p":[2]}}]"#,
                ..base
            },
            Row {
                records: r#"[{"b":{"$p":[1]}}]"#,
                ..base
            },
        ];
        for changed in other {
            assert_ne!(hash(&GENESIS, base), hash(&GENESIS, changed), "{changed:?}");
        }
        assert_ne!(hash(&GENESIS, base), hash(&[1; 32], base));
    }

    #[test]
    fn an_erased_payload_leaves_the_hash_as_it_was() {
        let payload = r#"{"$p":{"quote \" and {\"$p\":":"}"}}"#;
        let kept = format!(r#"[{{"input":[{payload}],"after":1}}]"#);
        let erased = kept.replace(
            payload,
            &format!(r#"{{"$x":"{}"}}"#, hex(&Sha256::digest(payload))),
        );
        assert_eq!(hash(&GENESIS, row(&kept)), hash(&GENESIS, row(&erased)));
    }

    #[test]
    fn a_key_that_only_begins_like_a_payload_s_is_no_payload() {
        for key in ["$price", "$body", "$x2", "$p ", "$"] {
            let stored = |value: &str| format!(r#"[{{"memo":{{"{key}":{value}}}}}]"#);
            let payload = r#"{"$p":"19.90"}"#;
            let erased = format!(r#"{{"$x":"{}"}}"#, hex(&Sha256::digest(payload)));
            let (kept, erased) = (stored(payload), stored(&erased));
            assert_eq!(
                hash(&GENESIS, row(&kept)),
                hash(&GENESIS, row(&erased)),
                "{key}: the payload under it can be erased, and the chain stays whole"
            );
        }
    }

    #[test]
    fn the_hash_of_a_known_row_never_changes() {
        assert_eq!(
            hex(&hash(
                &GENESIS,
                row(r#"[{"id":1,"t":0,"e":{"TimerFired":{"$p":null}}}]"#)
            )),
            "c39b1504020a5bcb9767a7c45fad052357aaea5aac52e3edb0a0148cc69550e2"
        );
    }
}
