//! A crate as a tree of modules: what each defines, what it takes by `use`, and the tokens of its code. What is only for tests is left out.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{Attribute, Ident, Item, UseTree};

/// The text of each file, by its path.
pub(super) type Files = BTreeMap<String, String>;

/// Where a module stands in [`Crate::modules`].
pub(super) type ModuleId = usize;

/// The segments of a path, as written.
pub(super) type Path = Vec<String>;

pub(super) struct Crate {
    /// The root first.
    pub(super) modules: Vec<Module>,
}

#[derive(Default)]
pub(super) struct Module {
    pub(super) file: String,
    pub(super) parent: Option<ModuleId>,
    pub(super) children: BTreeMap<String, ModuleId>,
    /// What it defines, by name.
    pub(super) items: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    /// What stands before each `::*`.
    pub(super) globs: Vec<Path>,
    /// All that is neither `mod` nor `use` at the level of the module.
    pub(super) code: Vec<TokenTree>,
}

pub(super) struct Import {
    /// What it is called here.
    pub(super) name: String,
    pub(super) path: Path,
}

impl Crate {
    /// Reads the module tree below a `lib.rs` or `main.rs`.
    pub(super) fn read(files: &Files, root: &str) -> Self {
        let mut whole = Self {
            modules: Vec::new(),
        };
        let (folder, _) = root.rsplit_once('/').expect("a root is in a folder");
        whole.read_file(files, root, folder, None);
        whole
    }

    /// Reads a file; its modules are in the folder given.
    fn read_file(
        &mut self,
        files: &Files,
        file: &str,
        folder: &str,
        parent: Option<ModuleId>,
    ) -> ModuleId {
        let text = &files[file];
        let parsed = syn::parse_file(text).map_err(|error| format!("{file}: {error}"));
        let parsed = parsed.unwrap();
        self.add(files, file, folder, parent, parsed.items)
    }

    fn add(
        &mut self,
        files: &Files,
        file: &str,
        folder: &str,
        parent: Option<ModuleId>,
        items: Vec<Item>,
    ) -> ModuleId {
        let id = self.modules.len();
        self.modules.push(Module {
            file: file.to_owned(),
            parent,
            ..Module::default()
        });
        for item in items
            .into_iter()
            .filter(|item| !is_for_tests(attributes(item)))
        {
            let Item::Mod(module) = item else {
                self.modules[id].add(item);
                continue;
            };
            let name = module.ident.to_string();
            let below = format!("{folder}/{name}");
            let child = match module.content {
                Some((_, items)) => self.add(files, file, &below, Some(id), items),
                None => self.read_file(files, &file_of(files, &below), &below, Some(id)),
            };
            self.modules[id].children.insert(name, child);
        }
        id
    }
}

impl Module {
    fn add(&mut self, item: Item) {
        if let Item::Use(item) = item {
            self.add_use(item.tree);
            return;
        }
        if let Some(name) = name_of(&item) {
            self.items.insert(name.to_string());
        }
        self.add_code(item.into_token_stream());
    }

    /// Adds what a `use` takes, one entry a name.
    pub(super) fn add_use(&mut self, tree: UseTree) {
        let mut open = vec![(Path::new(), tree)];
        while let Some((mut path, tree)) = open.pop() {
            match tree {
                UseTree::Path(tree) => {
                    path.push(tree.ident.to_string());
                    open.push((path, *tree.tree));
                }
                UseTree::Group(tree) => {
                    open.extend(tree.items.into_iter().map(|tree| (path.clone(), tree)));
                }
                UseTree::Name(tree) => {
                    // `use a::b::{self}` is `use a::b`.
                    if tree.ident != "self" {
                        path.push(tree.ident.to_string());
                    }
                    let name = path.last().cloned().unwrap_or_default();
                    self.imports.push(Import { name, path });
                }
                UseTree::Rename(tree) => {
                    if tree.ident != "self" {
                        path.push(tree.ident.to_string());
                    }
                    let name = tree.rename.to_string();
                    self.imports.push(Import { name, path });
                }
                UseTree::Glob(_) => self.globs.push(path),
            }
        }
    }

    fn add_code(&mut self, code: TokenStream) {
        self.code.extend(code);
    }
}

/// Returns the file of `mod name;`, where `below` is its path without an ending.
fn file_of(files: &Files, below: &str) -> String {
    [format!("{below}.rs"), format!("{below}/mod.rs")]
        .into_iter()
        .find(|file| files.contains_key(file))
        .ok_or_else(|| format!("no file of the module {below}"))
        .unwrap()
}

fn name_of(item: &Item) -> Option<&Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Macro(item) => item.ident.as_ref(),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::TraitAlias(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        Item::Union(item) => Some(&item.ident),
        _ => None,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns whether one of the attributes is `cfg(test)`, or `cfg(all(test, …))`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .meta
                .require_list()
                .is_ok_and(|list| needs_test(list.tokens.clone()))
    })
}

/// Returns whether a condition holds only in tests.
pub(super) fn needs_test(condition: TokenStream) -> bool {
    let mut tokens = condition.into_iter().peekable();
    match tokens.next() {
        Some(TokenTree::Ident(name)) if name == "test" => true,
        Some(TokenTree::Ident(name)) if name == "all" => match tokens.next() {
            Some(TokenTree::Group(group)) => group
                .stream()
                .into_iter()
                .any(|token| matches!(token, TokenTree::Ident(name) if name == "test")),
            _ => false,
        },
        _ => false,
    }
}
