//! Words that make no sense on the command line: refused with a sentence, never a panic.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

use clap::CommandFactory as _;
use fuzz::{Dice, text};

use super::{
    command::Cli,
    exit::{OK, USAGE},
    words::{parse, with_command},
};

const VALUES: [&str; 14] = [
    "127.0.0.1:0",
    "http://127.0.0.1:8000",
    "order-1",
    "default",
    "{\"a\":[1,2]}",
    "\"text\"",
    "30s",
    "1m30s",
    "018f0000-0000-7000-8000-000000000001",
    "Running",
    "50",
    "4294967296",
    "-1",
    "--",
];

/// Returns every word that the command line knows: commands, and options of all of them.
fn known() -> Vec<String> {
    let mut words = Vec::new();
    let mut commands = vec![Cli::command()];
    while let Some(command) = commands.pop() {
        words.push(command.get_name().to_owned());
        for option in command.get_arguments() {
            words.extend(option.get_long().map(|long| format!("--{long}")));
            words.extend(option.get_short().map(|short| format!("-{short}")));
        }
        commands.extend(command.get_subcommands().cloned());
    }
    words
}

fn word(dice: &mut Dice, known: &[String]) -> OsString {
    match dice.below(10) {
        0..=4 => known[dice.below(known.len())].clone().into(),
        5 | 6 => dice.pick(&VALUES).into(),
        7 => {
            let value = dice.pick(&VALUES);
            text::mutated(dice, value).into()
        }
        8 => format!("{}={}", known[dice.below(known.len())], dice.pick(&VALUES)).into(),
        _ => {
            let bytes = dice.bits().to_le_bytes();
            OsString::from_vec(bytes[..dice.below(8)].to_vec())
        }
    }
}

#[test]
fn any_words_are_understood_or_refused_with_a_sentence() {
    let known = known();
    let mut understood = 0;
    for mut dice in fuzz::cases(1000) {
        let mut words: Vec<OsString> = vec!["coreason".into()];
        for _ in 0..dice.below(7) {
            words.push(word(&mut dice, &known));
        }
        match parse(with_command(words)) {
            Ok(_) => understood += 1,
            Err(error) => {
                let code = if error.use_stderr() { USAGE } else { OK };
                assert_eq!(error.exit_code(), i32::from(code));
                assert!(!error.render().to_string().is_empty());
            }
        }
    }
    assert!(understood > 0 || std::env::var_os("COREASON_FUZZ_CASES").is_some());
}
