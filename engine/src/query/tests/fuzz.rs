//! Texts that are almost queries.

use std::{env, panic};

use super::parse;

const QUERIES: [&str; 8] = [
    "WorkflowType = 'order' AND ExecutionStatus IN ('Running', 2, \"TimedOut\") ORDER BY StartTime DESC",
    "NOT (Customer STARTS_WITH 'it''s \\'x\\'' OR `order-id` NOT STARTS_WITH \"a\") AND CloseTime IS NOT NULL",
    "StartTime BETWEEN '2026-02-03T04:05:06.789+01:00' AND 1770091506000000000 OR DueAt IS NULL",
    "ExecutionDuration NOT BETWEEN '-1.5h2m' AND '01:02:03' AND ExecutionDuration > 250",
    "Tags NOT IN ('é', 'b') OR Note != 'late Äpfel' AND Paid = true",
    "((Count >= -5 AND Count <> 7)) OR (Amount < .5e3 AND Amount <= 1.)",
    "Customer = null LIKE LIMIT GROUP SELECT(now()) == && ; 5 '",
    "",
];

const PIECES: [&str; 24] = [
    "'",
    "\"",
    "`",
    "\\",
    "(",
    ")",
    ",",
    "=",
    "<",
    ">",
    "!",
    "\0",
    "é",
    "🙂",
    " ",
    "NOT ",
    " AND ",
    " OR ",
    " IN (",
    " IS NULL",
    " BETWEEN ",
    "-9223372036854775809",
    "1e999",
    "ORDER BY ",
];

fn mutated(random: &mut fastrand::Rng) -> String {
    let pick = |random: &mut fastrand::Rng| QUERIES[random.usize(..QUERIES.len())];
    let mut chars: Vec<char> = pick(random).chars().collect();
    for _ in 0..random.u8(1..8) {
        let at = random.usize(..=chars.len());
        let end = random.usize(at..=chars.len().min(at + 12));
        let piece = match random.u8(..4) {
            0 => "",
            1 => pick(random),
            _ => PIECES[random.usize(..PIECES.len())],
        };
        let times = if random.u8(..) == 0 { 2000 } else { 1 };
        chars.splice(at..end, piece.repeat(times).chars());
    }
    chars.into_iter().collect()
}

#[test]
fn every_text_is_a_query_or_has_a_refusal_with_a_place_in_it() {
    let seed = env::var("QUERY_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let first = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("QUERY_SEED={first} repeats this");
    let random = &mut fastrand::Rng::with_seed(first);
    let mut queries = 0;
    for _ in 0..50_000 {
        let text = mutated(random);
        let parsed = panic::catch_unwind(|| parse(&text));
        match parsed.unwrap_or_else(|_| panic!("it panics: {text:?}")) {
            Ok(_) => queries += 1,
            Err(error) => {
                let place = error.at.is_none_or(|at| text.is_char_boundary(at));
                assert!(place && !error.message.is_empty(), "{text:?}: {error:?}");
                assert!(error.message.len() < 500, "{text:?}: {error:?}");
            }
        }
    }
    assert!(queries > 500, "only {queries} texts are queries");
}
