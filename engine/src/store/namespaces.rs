//! The tables `namespace` and `search_attribute`: the namespaces of this database, and what each has declared.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use history::{Namespace, SearchAttributeType};
use sqlx::{PgExecutor, PgPool};
use tokio::time::Instant;

use super::Error;
use crate::limits::NAMESPACES_KNOWN_FOR;

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

/// A search attribute that a namespace has declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SearchAttribute {
    /// Stands for it in rows.
    pub(crate) id: i32,
    pub(crate) ty: SearchAttributeType,
}

/// The search attributes of a namespace, by name.
pub(crate) type Declared = BTreeMap<String, SearchAttribute>;

/// What is known of the namespaces of this database.
#[derive(Debug, Default)]
struct Known {
    read_at: Option<Instant>,
    by_name: HashMap<Namespace, i16>,
    attributes: HashMap<i16, Arc<Declared>>,
}

/// The namespaces of this database, with their search attributes, as they were when they were last read.
#[derive(Debug, Clone)]
pub(crate) struct Namespaces(Arc<RwLock<Known>>);

impl Namespaces {
    #[cfg(test)]
    pub(crate) fn only(namespace: &Ns) -> Self {
        let by_name = HashMap::from([(namespace.name.clone(), namespace.id)]);
        Self(Arc::new(RwLock::new(Known {
            by_name,
            ..Known::default()
        })))
    }

    /// Reads them all.
    pub(crate) async fn load(pool: &PgPool) -> Result<Self, Error> {
        let known = select(pool).await?;
        Ok(Self(Arc::new(RwLock::new(known))))
    }

    /// Reads them again: another process may have changed them since.
    pub(crate) async fn read_again(&self, pool: &PgPool) -> Result<(), Error> {
        let known = select(pool).await?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the namespace of that name.
    pub(crate) fn get(&self, name: &Namespace) -> Result<Ns, crate::Error> {
        match self.known().by_name.get_key_value(name) {
            Some((name, id)) => Ok(Ns {
                id: *id,
                name: name.clone(),
            }),
            None => Err(crate::Error::NamespaceNotFound(name.clone())),
        }
    }

    /// Returns the namespace of that number.
    pub(crate) fn by_id(&self, id: i16) -> Option<Ns> {
        self.known()
            .by_name
            .iter()
            .find(|(_, known)| **known == id)
            .map(|(name, _)| Ns {
                id,
                name: name.clone(),
            })
    }

    /// Reads them again where they were read some time ago.
    pub(crate) async fn refresh(&self, pool: &PgPool) -> Result<(), Error> {
        if self.are_old() {
            self.read_again(pool).await?;
        }
        Ok(())
    }

    /// Says whether another process may have changed them, and that matters.
    pub(crate) fn are_old(&self) -> bool {
        let read_at = self.known().read_at;
        read_at.is_none_or(|at| at.elapsed() > NAMESPACES_KNOWN_FOR)
    }

    /// Returns the search attributes of the namespace of that number.
    pub(crate) fn attributes(&self, id: i16) -> Arc<Declared> {
        self.known()
            .attributes
            .get(&id)
            .cloned()
            .unwrap_or_default()
    }
}

/// Returns what each namespace has declared.
pub(crate) async fn declared(
    executor: impl PgExecutor<'_>,
) -> Result<HashMap<i16, Declared>, Error> {
    let attributes = sqlx::query!("SELECT namespace, name, type AS ty, id FROM search_attribute")
        .fetch_all(executor)
        .await?;
    let mut declared: HashMap<i16, Declared> = HashMap::new();
    for row in attributes {
        // A type that a newer binary made is not searched for by this one.
        let Some(ty) = SearchAttributeType::numbered(row.ty) else {
            continue;
        };
        let attribute = SearchAttribute { id: row.id, ty };
        let of = declared.entry(row.namespace).or_default();
        of.insert(row.name, attribute);
    }
    Ok(declared)
}

async fn select(pool: &PgPool) -> Result<Known, Error> {
    let read_at = Instant::now();
    let namespaces = sqlx::query!("SELECT id, name FROM namespace")
        .fetch_all(pool)
        .await?;
    let declared = declared(pool).await?;
    let by_name = namespaces
        .into_iter()
        .map(|row| (Namespace::known(row.name), row.id));
    Ok(Known {
        read_at: Some(read_at),
        by_name: by_name.collect(),
        attributes: declared
            .into_iter()
            .map(|(id, declared)| (id, Arc::new(declared)))
            .collect(),
    })
}
