//! What is set after the question mark of an address, and looked at once.

use std::collections::BTreeMap;

use crate::store::Error;

/// The parameters of an address that nobody has looked at.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) fn parse(query: &str) -> Result<Self, Error> {
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return invalid(format!("{pair:?} after the question mark has no value"));
            };
            parameters.insert(decoded(name)?, decoded(value)?);
        }
        Ok(Self(parameters))
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Ends the look: what is left nobody knows.
    pub(super) fn end(self) -> Result<(), Error> {
        match self.0.into_keys().next() {
            Some(name) => invalid(format!("there is no parameter {name:?}")),
            None => Ok(()),
        }
    }
}

/// Says what is wrong with an address.
pub(super) fn invalid<T>(problem: impl Into<String>) -> Result<T, Error> {
    Err(Error::Address(problem.into()))
}

/// Reads what is written as `%41`.
pub(super) fn decoded(text: &str) -> Result<String, Error> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return invalid("a % is not followed by two digits; write a % of your own as %25");
        };
        decoded.extend(u8::try_from(high * 16 + low));
    }
    String::from_utf8(decoded).or_else(|_| invalid("it is not UTF-8"))
}
