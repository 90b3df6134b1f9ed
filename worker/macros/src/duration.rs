//! Durations as people write them: `"200ms"`, `"30s"`, `"1h30m"`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::LitStr;

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Returns the expression of the duration that the text names.
pub(crate) fn expand(text: &LitStr) -> syn::Result<TokenStream> {
    let millis = millis(&text.value()).ok_or_else(|| {
        syn::Error::new(
            text.span(),
            "a duration is numbers with the units ms, s, m, h and d: \"200ms\", \"30s\", \"1h30m\"",
        )
    })?;
    Ok(quote!(::core::time::Duration::from_millis(#millis)))
}

fn millis(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total = 0_u64;
    while !rest.is_empty() || total == 0 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        if total == 0 {
            return None;
        }
        rest = after.trim_start();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        assert_eq!(millis("200ms"), Some(200));
        assert_eq!(millis("1h30m"), Some(5_400_000));
        assert_eq!(millis(" 2d 1s "), Some(172_801_000));
        for nonsense in [
            "",
            "5",
            "s",
            "1.5s",
            "5 minutes",
            "-1s",
            "0s",
            "999999999999999999d",
        ] {
            assert_eq!(millis(nonsense), None, "{nonsense}");
        }
    }
}
