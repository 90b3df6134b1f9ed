//! The words, texts and signs of a query.

use super::error::Problem;

/// A part of a query that means something by itself.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// How it stands in the query, with its quotes.
    pub(super) written: &'a str,
    /// Where it begins, in bytes.
    pub(super) at: usize,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// A keyword, or a name or value without quotes.
    Word,
    /// A name in backticks.
    Name(String),
    /// A text in quotes.
    Text(String),
    /// An operator, a comma or a parenthesis.
    Sign,
    /// The end of the query.
    End,
}

impl Token<'_> {
    /// Says whether it is this keyword.
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.kind, Kind::Word) && self.written.eq_ignore_ascii_case(word)
    }

    /// Says whether it is a keyword that can't be a name or a value without quotes.
    pub(super) fn is_keyword(&self) -> bool {
        const KEYWORDS: [&str; 7] = ["AND", "OR", "NOT", "IN", "IS", "BETWEEN", "STARTS_WITH"];
        KEYWORDS.iter().any(|word| self.is_word(word))
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.kind, Kind::Sign) && self.written == sign
    }

    pub(super) fn is_end(&self) -> bool {
        matches!(self.kind, Kind::End)
    }

    /// Returns how an error shows it.
    pub(super) fn shown(&self) -> String {
        shown(self.written)
    }
}

/// Returns how an error shows a part of the query.
pub(super) fn shown(text: &str) -> String {
    const CHARACTERS_MAX: usize = 40;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("`{}…`", text.get(..end).unwrap_or_default()),
        None => format!("`{text}`"),
    }
}

/// Cuts a query into tokens.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Returns the next token; at the end always [`Kind::End`].
    pub(super) fn token(&mut self) -> Result<Token<'a>, Problem> {
        self.skip(char::is_whitespace);
        let at = self.at;
        let kind = match self.rest().chars().next() {
            None => Kind::End,
            Some('`') => Kind::Name(self.quoted('`')?),
            Some(quote @ ('\'' | '"')) => Kind::Text(self.quoted(quote)?),
            Some(first) if is_bare(first) => {
                self.skip(is_bare);
                Kind::Word
            }
            Some(first) => self.sign(first)?,
        };
        let written = self.since(at);
        Ok(Token { kind, written, at })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn since(&self, at: usize) -> &'a str {
        self.text.get(at..self.at).unwrap_or_default()
    }

    fn skip(&mut self, part: fn(char) -> bool) {
        self.at = self.text.len() - self.rest().trim_start_matches(part).len();
    }

    fn sign(&mut self, first: char) -> Result<Kind, Problem> {
        const SIGNS: [&str; 11] = ["<=", ">=", "!=", "<>", "==", "=", "<", ">", "(", ")", ","];
        let known = SIGNS.into_iter().find(|sign| self.rest().starts_with(sign));
        let Some(sign) = known else {
            let what = format!("`{first}` means nothing in a query");
            let advice = match first {
                '&' => "write AND",
                '|' => "write OR",
                '!' => "write NOT or !=",
                ';' => "write one query, without `;`",
                _ => "texts are written in quotes, such as 'order-7'",
            };
            return Err(Problem::new(self.at, what, advice));
        };
        self.at += sign.len();
        Ok(Kind::Sign)
    }

    /// Reads up to the closing quote. A doubled quote stands for itself, and texts have the escapes of `MySQL`, as in Temporal.
    fn quoted(&mut self, quote: char) -> Result<String, Problem> {
        let opened_at = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((offset, c)) = chars.next() {
            match c {
                '\\' if quote != '`' => {
                    text.extend(chars.next().map(|(_, escaped)| unescape(escaped)));
                }
                c if c != quote => text.push(c),
                _ if chars.next_if(|(_, next)| *next == quote).is_some() => text.push(quote),
                _ => {
                    self.at += offset + quote.len_utf8();
                    return if text.contains('\0') {
                        let what = "a text has the character NUL";
                        Err(Problem::new(opened_at, what, "leave it out"))
                    } else {
                        Ok(text)
                    };
                }
            }
        }
        let what = format!("the {quote} that begins here is never closed");
        let advice = format!("write a {quote} behind its last character");
        Err(Problem::new(opened_at, what, advice))
    }
}

/// Says whether a character may stand outside of quotes. More than Temporal takes: what a user forgot to quote becomes one token.
fn is_bare(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '@' | '.' | '-' | '+' | ':')
}

fn unescape(escaped: char) -> char {
    match escaped {
        '0' => '\0',
        'b' => '\u{8}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'Z' => '\u{1a}',
        itself => itself,
    }
}
