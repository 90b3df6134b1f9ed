//! Which file defines what a path names.

use super::source::{Crate, ModuleId};

/// An item, and the file that defines it.
pub(super) struct Defined {
    pub(super) file: String,
    pub(super) name: String,
}

/// Names that are being looked up, so that two modules that take all of each other end.
type Trail = Vec<(ModuleId, String)>;

/// Where the names of a path begin, behind `crate`, `self` and `super`.
struct Start<'a> {
    module: ModuleId,
    rest: &'a [String],
    /// Whether the path says itself that it is of this crate.
    is_ours: bool,
}

impl Crate {
    /// Returns the item that a path written in a module names, the first one where it goes on into an item. What is another crate's is none.
    pub(super) fn resolve(&self, at: ModuleId, path: &[String]) -> Option<Defined> {
        self.item_of(at, path, &mut Trail::new())
    }

    fn item_of(&self, at: ModuleId, path: &[String], trail: &mut Trail) -> Option<Defined> {
        let Start {
            mut module,
            mut rest,
            mut is_ours,
        } = self.start(at, path);
        while let [name, tail @ ..] = rest {
            let child = self.module(module, name, trail);
            if let Some(child) = child.filter(|_| !tail.is_empty()) {
                (module, rest, is_ours) = (child, tail, true);
                continue;
            }
            let item = self.item(module, name, trail);
            // A name of ours that nobody defines is made by a macro.
            return item
                .or_else(|| (is_ours && child.is_none()).then(|| self.defined(module, name)));
        }
        None
    }

    fn module_of(&self, at: ModuleId, path: &[String], trail: &mut Trail) -> Option<ModuleId> {
        let start = self.start(at, path);
        let mut names = start.rest.iter();
        names.try_fold(start.module, |module, name| {
            self.module(module, name, trail)
        })
    }

    fn start<'a>(&self, at: ModuleId, path: &'a [String]) -> Start<'a> {
        let mut start = Start {
            module: at,
            rest: path,
            is_ours: false,
        };
        while let [name, tail @ ..] = start.rest {
            start.module = match name.as_str() {
                "crate" => 0,
                "self" => start.module,
                "super" => self.modules[start.module].parent.unwrap_or(0),
                _ => break,
            };
            (start.rest, start.is_ours) = (tail, true);
        }
        start
    }

    fn module(&self, at: ModuleId, name: &str, trail: &mut Trail) -> Option<ModuleId> {
        let here = &self.modules[at];
        if let Some(child) = here.children.get(name) {
            return Some(*child);
        }
        once(trail, at, name, |trail| {
            let mut imports = here.imports.iter().filter(|import| import.name == name);
            let mut globs = here.globs.iter();
            imports
                .find_map(|import| self.module_of(at, &import.path, trail))
                .or_else(|| {
                    globs.find_map(|glob| {
                        let target = self.module_of(at, glob, trail)?;
                        self.module(target, name, trail)
                    })
                })
        })
    }

    fn item(&self, at: ModuleId, name: &str, trail: &mut Trail) -> Option<Defined> {
        let here = &self.modules[at];
        if here.items.contains(name) {
            return Some(self.defined(at, name));
        }
        once(trail, at, name, |trail| {
            let mut imports = here.imports.iter().filter(|import| import.name == name);
            let mut globs = here.globs.iter();
            imports
                .find_map(|import| {
                    self.item_of(at, &import.path, trail).or_else(|| {
                        // Another crate's: whoever takes it from here needs this file.
                        let is_module = self.module_of(at, &import.path, trail).is_some();
                        (!is_module).then(|| self.defined(at, name))
                    })
                })
                .or_else(|| {
                    globs.find_map(|glob| {
                        let target = self.module_of(at, glob, trail)?;
                        self.item(target, name, trail)
                    })
                })
        })
    }

    fn defined(&self, module: ModuleId, name: &str) -> Defined {
        Defined {
            file: self.modules[module].file.clone(),
            name: name.to_owned(),
        }
    }
}

/// Looks a name up in a module, unless that is what is being done.
fn once<T>(
    trail: &mut Trail,
    at: ModuleId,
    name: &str,
    look: impl FnOnce(&mut Trail) -> Option<T>,
) -> Option<T> {
    let here = (at, name.to_owned());
    if trail.contains(&here) {
        return None;
    }
    trail.push(here);
    let found = look(trail);
    trail.pop();
    found
}
