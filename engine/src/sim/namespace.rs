//! The only namespace of a simulation.

use history::Namespace;

use crate::store::namespaces::Ns;

/// The namespace of every simulation.
pub(super) fn ns() -> Ns {
    Ns {
        id: 1,
        name: Namespace::known("default"),
    }
}
