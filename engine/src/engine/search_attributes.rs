//! What users may search for, by namespace.

use std::collections::BTreeMap;

use history::{
    Namespace, SearchAttributeType,
    event::SearchAttributes,
    search_attribute::{self, BadSearchAttributes},
};

use crate::{
    Engine, Error,
    limits::SEARCH_ATTRIBUTE_NAME_BYTES_MAX,
    query::built_in_attribute,
    store::search_attributes::{self as stored, Declared},
};

impl Engine {
    /// Returns the search attributes that a namespace has declared.
    pub async fn search_attributes(
        &self,
        namespace: &Namespace,
    ) -> Result<BTreeMap<String, SearchAttributeType>, Error> {
        let namespaces = &self.inner.namespaces;
        namespaces.read_again(&self.inner.reads).await?;
        let id = namespaces.get(namespace)?.id;
        let declared = namespaces.attributes(id);
        Ok(declared
            .iter()
            .map(|(name, declared)| (name.clone(), declared.ty))
            .collect())
    }

    /// Declares a search attribute; says whether it is new. One that is there with the same type is left as it is.
    ///
    /// # Errors
    /// When its name is none, it is there with another type, or the namespace has as many as it may.
    pub async fn declare_search_attribute(
        &self,
        namespace: &Namespace,
        name: &str,
        ty: SearchAttributeType,
    ) -> Result<bool, Error> {
        check_name(name).map_err(|problem| Error::SearchAttributeName(name.to_owned(), problem))?;
        let id = self.inner.namespaces.get(namespace)?.id;
        let declared = stored::declare(&self.inner.reads, id, name, ty).await?;
        self.inner.namespaces.read_again(&self.inner.reads).await?;
        match declared {
            Declared::New => {
                tracing::info!(%namespace, attribute = name, ?ty, "a search attribute was declared");
                Ok(true)
            }
            Declared::Before(before) if before == ty => Ok(false),
            Declared::Before(before) => Err(Error::SearchAttributeExists {
                name: name.to_owned(),
                before,
            }),
            Declared::TooMany => Err(Error::TooManySearchAttributes),
        }
    }

    /// Takes the declaration of a search attribute back. Runs keep their values, and are not found by them any more.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn delete_search_attribute(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> Result<(), Error> {
        let id = self.inner.namespaces.get(namespace)?.id;
        let deleted = stored::delete(&self.inner.reads, id, name).await?;
        self.inner.namespaces.read_again(&self.inner.reads).await?;
        if !deleted {
            let unknown = BadSearchAttributes::Unknown(name.to_owned());
            return Err(Error::BadSearchAttributes(unknown));
        }
        tracing::info!(%namespace, attribute = name, "a search attribute was taken back");
        Ok(())
    }

    /// Holds the search attributes of a start against what is declared, by this process or another one.
    pub(super) async fn check_search_attributes(
        &self,
        namespace: &Namespace,
        attributes: &SearchAttributes,
    ) -> Result<(), Error> {
        if attributes.is_empty() {
            return Ok(());
        }
        let namespaces = &self.inner.namespaces;
        let id = namespaces.get(namespace)?.id;
        namespaces.refresh(&self.inner.reads).await?;
        let check = || {
            let declared = namespaces.attributes(id);
            search_attribute::check(attributes, |name| Some(declared.get(name)?.ty))
        };
        if let Err(BadSearchAttributes::Unknown(_)) = check() {
            namespaces.read_again(&self.inner.reads).await?;
        }
        Ok(check()?)
    }
}

/// Says what keeps a search attribute from having a name.
fn check_name(name: &str) -> Result<(), &'static str> {
    if built_in_attribute(name).is_some() {
        return Err("every run has one of that name; choose another");
    }
    if name.len() > SEARCH_ATTRIBUTE_NAME_BYTES_MAX {
        return Err("it has more than 64 bytes; choose a shorter one");
    }
    let mut bytes = name.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if begins && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(());
    }
    Err("give it a letter first, then letters, digits and underscores")
}
