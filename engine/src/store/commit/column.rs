//! An array that `commit_batch` takes.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// An argument of `commit_batch`: a place for each row of a group. NULL without any, because PL/pgSQL makes a copy of each array.
#[derive(Debug)]
pub(super) struct Column<T>(Vec<T>);

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Column<T> {
    pub(super) fn push(&mut self, value: T) {
        self.0.push(value);
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

/// The same where most places are empty: NULL while all are.
#[derive(Debug)]
pub(super) struct Sparse<T>(Vec<Option<T>>);

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Sparse<T> {
    pub(super) fn push(&mut self, value: Option<T>) {
        self.0.push(value);
    }
}

impl<T: ToSql> ToSql for Sparse<T> {
    fn to_sql(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if self.0.iter().all(Option::is_none) {
            return Ok(IsNull::Yes);
        }
        self.0.to_sql(of, out)
    }

    fn accepts(of: &Type) -> bool {
        <Vec<Option<T>> as ToSql>::accepts(of)
    }

    to_sql_checked!();
}

impl<T: ToSql> ToSql for Column<T> {
    fn to_sql(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if self.0.is_empty() {
            return Ok(IsNull::Yes);
        }
        self.0.to_sql(of, out)
    }

    fn accepts(of: &Type) -> bool {
        <Vec<T> as ToSql>::accepts(of)
    }

    to_sql_checked!();
}
