//! What Postgres takes for `jsonb`.

/// Says whether Postgres takes this JSON text as `jsonb` without an error: no `\u0000`, no
/// surrogate escapes, no number beyond `numeric`, and no depth that costs its stack.
pub(super) fn takes(text: &str) -> bool {
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
