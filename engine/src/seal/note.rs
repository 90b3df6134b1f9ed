//! Signed notes (C2SP signed-note): a text, and under it a line for each signature. Keys are written as Go's `sumdb/note` writes them, so that its
//! verifiers read what we sign.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// What stands before a key, to say of which kind it is.
const ED25519: u8 = 1;
/// What a private key begins with.
const PRIVATE: &str = "PRIVATE+KEY+";
/// What a line with a signature begins with.
const SIGNATURE: &str = "\u{2014} ";
/// The most signatures of a note that are looked at.
const SIGNATURES_MAX: usize = 16;

/// A text that is no key, or no signed note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No key for signatures.
    #[error("this is no key for signatures: `PRIVATE+KEY+<name>+<id>+<base64>`")]
    PrivateKey,
    /// No public key.
    #[error("this is no public key: `<name>+<id>+<base64>`, as `coreason audit key` shows it")]
    PublicKey,
    /// A key that makes signatures anybody can make.
    #[error("this public key is weak: others can make its signatures")]
    WeakKey,
    /// No signed note.
    #[error("this is no signed note: a text, an empty line, and signatures")]
    Note,
}

/// A key that signs. Its text is a secret.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

/// A key that says who has signed. Its text is `<name>+<id>+<base64>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
}

/// A text with signatures, of which nothing is known until they are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signed>,
}

/// A line with a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signed {
    name: String,
    key_id: [u8; 4],
    signature: [u8; 64],
}

impl SigningKey {
    /// Makes a new one.
    ///
    /// # Errors
    /// When the machine gives no random numbers.
    pub fn generate(name: &str) -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self {
            name: name.to_owned(),
            key: ed25519_dalek::SigningKey::from_bytes(&seed),
        })
    }

    /// Returns the key by which its signatures are known.
    pub fn public(&self) -> PublicKey {
        PublicKey {
            name: self.name.clone(),
            key: self.key.verifying_key(),
        }
    }

    /// Returns its text, which is a secret.
    pub fn secret_text(&self) -> String {
        let public = self.public();
        let mut bytes = vec![ED25519];
        bytes.extend(self.key.to_bytes());
        let id = hex(public.id());
        format!(
            "{PRIVATE}{}+{id}+{}",
            self.name,
            BASE64_STANDARD.encode(bytes)
        )
    }
}

impl FromStr for SigningKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let rest = text.trim_end().strip_prefix(PRIVATE);
        let (name, id, seed) = rest.and_then(parts).ok_or(Malformed::PrivateKey)?;
        let key = Self {
            name,
            key: ed25519_dalek::SigningKey::from_bytes(&seed),
        };
        if key.public().id() != id {
            return Err(Malformed::PrivateKey);
        }
        Ok(key)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

impl PublicKey {
    /// Returns what a signature names it by: the first bytes of a hash of name and key.
    fn id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(&self.name);
        hasher.update([b'\n', ED25519]);
        hasher.update(self.key.as_bytes());
        let hash = hasher.finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Says whether a signature is of this key, by the strict rules: one text has one signature, and no weak key counts.
    fn has_signed(&self, text: &str, signed: &Signed) -> bool {
        signed.name == self.name
            && signed.key_id == self.id()
            && self
                .key
                .verify_strict(text.as_bytes(), &Signature::from_bytes(&signed.signature))
                .is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (name, id, key) = parts(text.trim()).ok_or(Malformed::PublicKey)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| Malformed::PublicKey)?;
        if key.is_weak() {
            return Err(Malformed::WeakKey);
        }
        let key = Self { name, key };
        if key.id() != id {
            return Err(Malformed::PublicKey);
        }
        Ok(key)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend(self.key.as_bytes());
        let key = BASE64_STANDARD.encode(bytes);
        write!(f, "{}+{}+{key}", self.name, hex(self.id()))
    }
}

impl Note {
    /// Signs a text, which ends with its last line.
    pub fn sign(text: String, keys: &[&SigningKey]) -> Self {
        let signed = keys.iter().map(|key| Signed {
            name: key.name.clone(),
            key_id: key.public().id(),
            signature: key.key.sign(text.as_bytes()).to_bytes(),
        });
        Self {
            signatures: signed.collect(),
            text,
        }
    }

    /// Returns the text if one of these keys has signed it, and which one.
    pub fn verify<'a>(&self, keys: &'a [PublicKey]) -> Option<(&str, &'a PublicKey)> {
        let signer = keys.iter().find(|key| {
            let mut signatures = self.signatures.iter();
            signatures.any(|signed| key.has_signed(&self.text, signed))
        })?;
        Some((&self.text, signer))
    }

    /// Returns the text, whoever has signed it.
    pub fn unverified(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for signed in &self.signatures {
            let mut bytes = signed.key_id.to_vec();
            bytes.extend(signed.signature);
            let signature = BASE64_STANDARD.encode(bytes);
            writeln!(f, "{SIGNATURE}{} {signature}", signed.name)?;
        }
        Ok(())
    }
}

impl FromStr for Note {
    type Err = Malformed;

    fn from_str(note: &str) -> Result<Self, Malformed> {
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(Malformed::Note)?;
        let signatures = signatures.strip_suffix('\n').ok_or(Malformed::Note)?;
        let signatures: Option<Vec<Signed>> = signatures.split('\n').map(signed).collect();
        let signatures = signatures.ok_or(Malformed::Note)?;
        let has_control = text.chars().any(|c| c.is_control() && c != '\n');
        if has_control || signatures.len() > SIGNATURES_MAX {
            return Err(Malformed::Note);
        }
        Ok(Self {
            text: format!("{text}\n"),
            signatures,
        })
    }
}

/// Reads a line with a signature. One of another kind of key is as long as it likes, and is nothing to us.
fn signed(line: &str) -> Option<Signed> {
    let (name, signature) = line.strip_prefix(SIGNATURE)?.split_once(' ')?;
    let bytes = BASE64_STANDARD.decode(signature).ok()?;
    let (key_id, signature) = bytes.split_first_chunk::<4>()?;
    Some(Signed {
        name: name.to_owned(),
        key_id: *key_id,
        signature: signature.try_into().unwrap_or([0; 64]),
    })
}

/// Reads `<name>+<id>+<base64>`: the name, the id, and what stands behind the kind of key.
fn parts(text: &str) -> Option<(String, [u8; 4], [u8; 32])> {
    let (name, rest) = text.split_once('+')?;
    let (id, key) = rest.split_once('+')?;
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
    let is_id = id.len() == 8
        && id
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let id = u32::from_str_radix(id, 16).ok().filter(|_| is_id)?;
    let key = BASE64_STANDARD.decode(key).ok()?;
    let key = key.strip_prefix(&[ED25519])?.try_into().ok()?;
    is_name.then(|| (name.to_owned(), id.to_be_bytes(), key))
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Go's `sumdb/note`.
    const GO_PRIVATE: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const GO_PUBLIC: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
         then you don't know what your problem is.\n\n\
         \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn keys_and_notes_are_those_of_go() {
        let key: SigningKey = GO_PRIVATE.parse().unwrap();
        let public: PublicKey = GO_PUBLIC.parse().unwrap();
        assert_eq!(
            (key.public(), key.secret_text()),
            (public.clone(), GO_PRIVATE.to_owned())
        );
        assert_eq!(public.to_string(), GO_PUBLIC);
        let note: Note = GO_NOTE.parse().unwrap();
        assert_eq!(note.to_string(), GO_NOTE);
        let (text, signer) = note.verify(std::slice::from_ref(&public)).unwrap();
        assert_eq!(signer, &public);
        assert_eq!(Note::sign(text.to_owned(), &[&key]), note);
    }

    #[test]
    fn a_text_that_was_changed_has_no_signature() {
        let public: PublicKey = GO_PUBLIC.parse().unwrap();
        for (from, to) in [
            ("answer", "answers"),
            ("is.\n", "is.\n\n"),
            ("x08go", "x08gp"),
            ("PeterN", "PaterN"),
        ] {
            let changed = GO_NOTE.replacen(from, to, 1);
            let Ok(note) = changed.parse::<Note>() else {
                continue;
            };
            assert!(
                note.verify(std::slice::from_ref(&public)).is_none(),
                "{changed}"
            );
        }
        let stranger = SigningKey::generate("PeterNeumann").unwrap().public();
        assert!(
            GO_NOTE
                .parse::<Note>()
                .unwrap()
                .verify(&[stranger])
                .is_none()
        );
    }

    #[test]
    fn a_weak_key_is_refused() {
        // The identity, and a point of order eight.
        for weak in [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        ] {
            let bytes: Vec<u8> = (0..32)
                .map(|n| u8::from_str_radix(&weak[2 * n..2 * n + 2], 16).unwrap())
                .collect();
            let key = VerifyingKey::from_bytes(&bytes.try_into().unwrap()).unwrap();
            let text = PublicKey {
                name: "weak".to_owned(),
                key,
            }
            .to_string();
            assert_eq!(text.parse::<PublicKey>(), Err(Malformed::WeakKey));
        }
    }

    #[test]
    fn what_is_no_key_or_note_is_said_so() {
        for text in [
            "",
            "a+b",
            "a+c74f20a3+AAAA",
            "a b+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert_eq!(
                text.parse::<PublicKey>(),
                Err(Malformed::PublicKey),
                "{text}"
            );
            assert!(text.parse::<SigningKey>().is_err(), "{text}");
        }
        for text in [
            "",
            "a\n",
            "a\n\n",
            "a\n\nb\n",
            "a\u{7}\n\n\u{2014} b AAAAAAAA\n",
            "a\n\n\u{2014} b AAAAAAAA",
        ] {
            assert_eq!(text.parse::<Note>(), Err(Malformed::Note), "{text:?}");
        }
    }
}
