//! What the place that text goes to can show.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
};

/// Where text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    /// A file or another program: nothing is cut and nothing is coloured.
    Elsewhere,
    /// A terminal: what is long is cut.
    Terminal {
        /// It has colours, and nobody has asked for none.
        colours: bool,
    },
}

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Good,
    Bad,
    Busy,
}

impl Screen {
    pub(crate) fn stdout() -> Self {
        Self::of(&io::stdout(), |name| std::env::var_os(name))
    }

    pub(crate) fn stderr() -> Self {
        Self::of(&io::stderr(), |name| std::env::var_os(name))
    }

    fn of(stream: &impl IsTerminal, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        if stream.is_terminal() {
            Self::terminal(variable)
        } else {
            Self::Elsewhere
        }
    }

    /// <https://no-color.org>: any text in `NO_COLOR` means none.
    fn terminal(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let unwanted = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = variable("TERM").is_some_and(|term| term == "dumb");
        Self::Terminal {
            colours: !unwanted && !dumb,
        }
    }

    pub(crate) fn has_colours(self) -> bool {
        self == Self::Terminal { colours: true }
    }

    /// Returns text of at most `max` characters where it has to fit.
    pub(crate) fn cut(self, text: &str, max: usize) -> String {
        if self == Self::Elsewhere || text.chars().count() <= max {
            return text.to_owned();
        }
        text.chars()
            .take(max.saturating_sub(1))
            .chain(['…'])
            .collect()
    }

    /// Returns text in a colour, where there are colours.
    pub(crate) fn paint(self, text: &str, colour: Option<Colour>) -> String {
        match colour {
            Some(colour) if self.has_colours() => {
                let code = match colour {
                    Colour::Good => 32,
                    Colour::Bad => 31,
                    Colour::Busy => 33,
                };
                format!("\u{1b}[{code}m{text}\u{1b}[0m")
            }
            _ => text.to_owned(),
        }
    }
}

/// Returns what the state of a workflow, or of a part of it, says.
pub(crate) fn of_state(state: &str) -> Option<Colour> {
    match state {
        "Completed" | "Fired" | "Delivered" => Some(Colour::Good),
        "Failed" | "TimedOut" | "Terminated" | "NotStarted" | "Backoff" => Some(Colour::Bad),
        "Running" | "Started" | "Scheduled" => Some(Colour::Busy),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURS: Screen = Screen::Terminal { colours: true };

    #[test]
    fn colours_are_where_the_terminal_has_them_and_nobody_minds() {
        for (variables, colours) in [
            (&[] as &[(&str, &str)], true),
            (&[("TERM", "xterm-256color")], true),
            (&[("TERM", "dumb")], false),
            (&[("NO_COLOR", "1")], false),
            (&[("NO_COLOR", "")], true),
        ] {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            assert_eq!(
                Screen::terminal(variable),
                Screen::Terminal { colours },
                "{variables:?}"
            );
        }
        assert_eq!(
            COLOURS.paint("x", Some(Colour::Bad)),
            "\u{1b}[31mx\u{1b}[0m"
        );
        assert_eq!(Screen::Elsewhere.paint("x", Some(Colour::Bad)), "x");
    }

    #[test]
    fn text_is_cut_on_a_terminal_only() {
        assert_eq!(COLOURS.cut("abcdef", 4), "abc…");
        assert_eq!(COLOURS.cut("abcd", 4), "abcd");
        assert_eq!(Screen::Elsewhere.cut("abcdef", 4), "abcdef");
    }
}
