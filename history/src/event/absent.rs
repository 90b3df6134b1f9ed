//! What is not stored because it says nothing.

/// Says whether a value is its type's default, for serde: what is absent takes no space.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
