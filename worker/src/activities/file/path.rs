//! Paths as text that can be turned back into the very same path.
//!
//! A path is its UTF-8 text. A byte that is not part of valid UTF-8 is written `\xHH`, and a backslash `\\`.

use std::{
    ffi::OsString,
    fmt::Write as _,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Component, Path, PathBuf},
};

/// Returns a path as text.
pub fn to_text(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // Writing to a String does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Why a text is not a path inside a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// A backslash stands before neither `\` nor `xHH`.
    #[error("a backslash in a path is written twice, and a byte that is not UTF-8 as \\xHH")]
    Escape,
    /// It leads out of the folder.
    #[error("a path of a file is relative to the folder and stays inside it")]
    Outside,
}

/// Returns the relative path that the text names.
///
/// # Errors
/// When the text is malformed or the path leads out of its folder.
pub fn from_text(text: &str) -> Result<PathBuf, BadPath> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        if let Some(after) = after.strip_prefix('\\') {
            bytes.push(b'\\');
            rest = after;
        } else {
            let digits = after.strip_prefix('x').and_then(|digits| digits.get(..2));
            let digits = digits.filter(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()));
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            bytes.push(byte.ok_or(BadPath::Escape)?);
            rest = &after[3..];
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    let path = PathBuf::from(OsString::from_vec(bytes));
    let inside = |component| matches!(component, Component::Normal(_));
    if path.as_os_str().is_empty() || !path.components().all(inside) {
        return Err(BadPath::Outside);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn every_name_survives_as_text() {
        for (bytes, text) in [
            (&b"src/main.rs"[..], "src/main.rs"),
            (b"caf\xc3\xa9", "café"),
            (b"latin \xe9!", "latin \\xe9!"),
            (b"back\\slash \\x41", "back\\\\slash \\\\x41"),
            (b"new\nline", "new\nline"),
            (b"\xff\xfe", "\\xff\\xfe"),
        ] {
            let path = Path::new(OsStr::from_bytes(bytes));
            assert_eq!(to_text(path), text);
            assert_eq!(from_text(text).unwrap(), path);
        }
    }

    #[test]
    fn malformed_texts_and_paths_out_of_the_folder_are_refused() {
        for text in ["\\", "\\x4", "\\xg0", "\\x+1", "\\n"] {
            assert_eq!(from_text(text), Err(BadPath::Escape), "{text}");
        }
        for text in ["", "/etc/passwd", "../up", "a/../../b"] {
            assert_eq!(from_text(text), Err(BadPath::Outside), "{text}");
        }
    }
}
