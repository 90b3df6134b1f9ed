//! The memo and the search attributes of a run as they are now.

use super::{run::Execution, upserted::merge};
use crate::event::{Memo, SearchAttributes};

impl Execution {
    /// Returns the memo as it is now.
    pub fn memo(&self) -> Memo {
        let mut memo = self.started().memo.clone();
        if let Some(upserted) = &self.upserted {
            merge(&mut memo, &upserted.memo);
        }
        memo
    }

    /// Returns the memo and the search attributes as they are now.
    pub(crate) fn facts(&self) -> (Memo, SearchAttributes) {
        (self.memo(), self.search_attributes())
    }

    /// Returns the search attributes as they are now.
    pub fn search_attributes(&self) -> SearchAttributes {
        let mut search_attributes = self.started().search_attributes.clone();
        if let Some(upserted) = &self.upserted {
            merge(&mut search_attributes, &upserted.search_attributes);
        }
        search_attributes
    }
}
