//! The table `namespace`: the namespaces of this database, by name.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use history::Namespace;
use sqlx::PgPool;

use super::Error;

/// A namespace, as rows and as users know it.
#[derive(Debug, Clone)]
pub(crate) struct Ns {
    pub(crate) id: i16,
    pub(crate) name: Namespace,
}

impl PartialEq for Ns {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Ns {}

impl Ord for Ns {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id.cmp(&other.id)
    }
}

impl PartialOrd for Ns {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl std::hash::Hash for Ns {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// The namespaces of this database, by name.
#[derive(Debug, Clone)]
pub(crate) struct Namespaces(Arc<RwLock<HashMap<Namespace, i16>>>);

impl Namespaces {
    #[cfg(test)]
    pub(crate) fn only(namespace: &Ns) -> Self {
        let by_name = HashMap::from([(namespace.name.clone(), namespace.id)]);
        Self(Arc::new(RwLock::new(by_name)))
    }

    /// Reads them all.
    pub(crate) async fn load(pool: &PgPool) -> Result<Self, Error> {
        let by_name = select_namespaces(pool).await?;
        Ok(Self(Arc::new(RwLock::new(by_name))))
    }

    /// Reads them again: another process may have made one since.
    pub(super) async fn read_again(&self, pool: &PgPool) -> Result<(), Error> {
        let by_name = select_namespaces(pool).await?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = by_name;
        Ok(())
    }

    /// Returns the namespace of that name.
    pub(crate) fn get(&self, name: &Namespace) -> Result<Ns, crate::Error> {
        let by_name = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match by_name.get_key_value(name) {
            Some((name, id)) => Ok(Ns {
                id: *id,
                name: name.clone(),
            }),
            None => Err(crate::Error::NamespaceNotFound(name.clone())),
        }
    }

    /// Returns the namespace of that number.
    pub(crate) fn by_id(&self, id: i16) -> Option<Ns> {
        let by_name = self.0.read().unwrap_or_else(PoisonError::into_inner);
        by_name
            .iter()
            .find(|(_, known)| **known == id)
            .map(|(name, _)| Ns {
                id,
                name: name.clone(),
            })
    }
}

async fn select_namespaces(pool: &PgPool) -> Result<HashMap<Namespace, i16>, Error> {
    let rows = sqlx::query!("SELECT id, name FROM namespace")
        .fetch_all(pool)
        .await?;
    let by_name = rows
        .into_iter()
        .map(|row| (Namespace::known(row.name), row.id));
    Ok(by_name.collect())
}
