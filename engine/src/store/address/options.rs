//! The settings of a session that an address gives it.

use super::parameters::invalid;
use crate::store::Error;

/// A setting of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Setting {
    pub(in crate::store) name: String,
    pub(in crate::store) value: String,
}

/// Reads `-c name=value -c name=value`.
pub(super) fn parse(text: &str) -> Result<Vec<Setting>, Error> {
    let words = words_of(text);
    let words = words.iter().filter(|word| *word != "-c");
    let setting = |word: &String| {
        let word = word
            .strip_prefix("-c")
            .or(word.strip_prefix("--"))
            .unwrap_or(word);
        match word.split_once('=') {
            Some((name, value)) => Ok(Setting {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            None => invalid(format!("options: {word:?} is not -c name=value")),
        }
    };
    words.map(setting).collect()
}

/// Returns settings as a server takes them when a session begins: those of `PGOPTIONS`, then these, which count.
pub(in crate::store) fn at_startup(settings: &[Setting]) -> String {
    let mut options = std::env::var("PGOPTIONS").unwrap_or_default();
    for Setting { name, value } in settings {
        options.push_str(if options.is_empty() { "-c " } else { " -c " });
        for letter in name.chars().chain(['=']).chain(value.chars()) {
            if letter == '\\' || letter.is_whitespace() {
                options.push('\\');
            }
            options.push(letter);
        }
    }
    options
}

/// Cuts a text at its spaces; a backslash stands for what follows it.
fn words_of(text: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let letter = match letter {
            '\\' => letters.next().unwrap_or('\\'),
            space if space.is_whitespace() => {
                words.extend(word.take());
                continue;
            }
            letter => letter,
        };
        word.get_or_insert_default().push(letter);
    }
    words.extend(word);
    words
}
