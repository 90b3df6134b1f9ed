//! What a request leads to.

use crate::{decide::Rejection, effect::Effect, record::Record};

/// What a request leads to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// What is to be applied and committed, in order. Empty when nothing changes.
    pub records: Vec<Record>,
    /// What the shell is to do, in order.
    pub effects: Vec<Effect>,
    /// Why the request was refused, if it was and `records` say so: the shell commits and answers with this.
    pub refusal: Option<Rejection>,
}
