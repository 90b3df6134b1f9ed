//! What a server says of a failure, without the line of its own source code where it says so, which sqlx adds to the words.

use std::{borrow::Cow, fmt};

use sqlx::error::{DatabaseError, ErrorKind};

/// What it says, in its own words and no others.
#[derive(Debug)]
struct Told(Box<dyn DatabaseError>);

/// Returns an error with the server's own words, if it is one of the server.
pub(super) fn plainly(error: sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::Database(told) => sqlx::Error::Database(Box::new(Told(told))),
        error => error,
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Told {}

impl DatabaseError for Told {
    fn message(&self) -> &str {
        self.0.message()
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.0.code()
    }

    fn constraint(&self) -> Option<&str> {
        self.0.constraint()
    }

    fn table(&self) -> Option<&str> {
        self.0.table()
    }

    fn kind(&self) -> ErrorKind {
        self.0.kind()
    }

    fn is_transient_in_connect_phase(&self) -> bool {
        self.0.is_transient_in_connect_phase()
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }
}
