//! Damage to text.

use crate::Dice;

/// Texts that readers stumble over.
pub const ODD: [&str; 30] = [
    "",
    " ",
    ".",
    "..",
    "/",
    "%",
    "%00",
    "%2e%2e%2f",
    "\0",
    "\u{1}",
    "\n",
    "\u{7f}",
    "\u{85}",
    "\u{200b}",
    "\u{202e}",
    "\u{feff}",
    "\u{fffd}",
    "\u{10ffff}",
    "é",
    "e\u{301}",
    "名前",
    "👩‍👩‍👧",
    "'; DROP TABLE history; --",
    "\\",
    "\"",
    "$p",
    "-1",
    "NaN",
    "1e999",
    "00000000-0000-0000-0000-000000000000",
];

/// Returns a text with a few characters lost, doubled, changed, moved or come from elsewhere.
pub fn mutated(dice: &mut Dice, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=dice.below(3) {
        change(dice, &mut chars);
    }
    chars.into_iter().collect()
}

fn change(dice: &mut Dice, chars: &mut Vec<char>) {
    let at = dice.below(chars.len() + 1);
    let end = (at + 1 + dice.below(12)).min(chars.len());
    match dice.below(7) {
        0 => drop(chars.drain(at.min(end)..end)),
        1 => {
            let copy: Vec<char> = chars[at.min(end)..end].to_vec();
            let to = dice.below(chars.len() + 1);
            chars.splice(to..to, copy);
        }
        2 => chars.truncate(at),
        3 => {
            let odd = dice.pick(&ODD).chars();
            chars.splice(at..at, odd);
        }
        4 => {
            if let Some(char) = chars.get_mut(at) {
                *char = char::from(u8::try_from(dice.below(256)).unwrap_or(0));
            }
        }
        5 => {
            if let Some(char) = chars.get_mut(at) {
                *char = dice.pick(&['"', '{', '}', '[', ']', ',', ':', '0', '9', '-', 'e', '\\']);
            }
        }
        _ => {
            let odd = dice.pick(&['a', '0', '9', 'é', ' ', '\u{10ffff}']);
            let times = dice.pick(&[1, 20, 1001]);
            chars.splice(at..at, std::iter::repeat_n(odd, times));
        }
    }
}
