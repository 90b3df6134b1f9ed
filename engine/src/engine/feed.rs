//! What is committed, as it is.

use std::sync::Arc;

use crate::{Engine, Error, FeedCursor, FeedReader};

impl Engine {
    /// Reads what the whole cluster commits, in the order in which each run writes: behind a cursor that any member gave, or from now on.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn feed(&self, cursor: Option<FeedCursor>) -> Result<FeedReader, Error> {
        let source = Arc::new(self.inner.reads.clone());
        Ok(FeedReader::begin(source, &self.inner.tail, cursor).await?)
    }
}
