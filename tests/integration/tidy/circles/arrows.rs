//! Which file needs which, and for what.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    code::Named,
    source::{Crate, Files, ModuleId, Path},
};

/// From a file to those that it needs, with the names that it takes from each.
pub(super) type Arrows = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Returns the arrows between the files of a crate, whose root is given.
pub(super) fn arrows(files: &Files, root: &str) -> Arrows {
    let mut whole = Crate::read(files, root);
    let mut arrows = Arrows::new();
    for at in 0..whole.modules.len() {
        let mut named = Named::default();
        named.read(std::mem::take(&mut whole.modules[at].code));
        for tree in named.uses {
            whole.modules[at].add_use(tree);
        }
        for path in paths(&whole, at, named.paths) {
            let from = &whole.modules[at].file;
            if let Some(item) = whole.resolve(at, &path)
                && item.file != *from
            {
                let to = arrows.entry(from.clone()).or_default();
                to.entry(item.file).or_default().insert(item.name);
            }
        }
    }
    arrows
}

/// Returns the paths of a module that may lead to another file.
fn paths(whole: &Crate, at: ModuleId, in_code: Vec<Path>) -> Vec<Path> {
    let module = &whole.modules[at];
    let imports = module.imports.iter().map(|import| import.path.clone());
    let globs = module.globs.iter().cloned();
    // A single name is defined here or taken by a `use`, which is looked at, unless that takes all there is.
    let from_code = in_code
        .into_iter()
        .filter(|path| path.len() > 1 || !module.globs.is_empty());
    imports.chain(globs).chain(from_code).collect()
}
