//! Files that need each other.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
};

use super::arrows::Arrows;

/// Files each of which needs, through others or not, all the rest, and the arrows between them.
pub(super) struct Circle<'a> {
    files: BTreeSet<&'a str>,
    arrows: &'a Arrows,
}

/// Returns each circle of more than one file.
pub(super) fn circles(arrows: &Arrows) -> Vec<Circle<'_>> {
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for file in arrows.keys() {
        if seen.contains(file.as_str()) {
            continue;
        }
        let files: BTreeSet<&str> = needs(arrows, file)
            .into_iter()
            .filter(|needed| needs(arrows, needed).contains(file.as_str()))
            .collect();
        if !files.is_empty() {
            seen.extend(files.iter().copied());
            circles.push(Circle { files, arrows });
        }
    }
    circles
}

/// Returns all that a file needs, through others or not.
fn needs<'a>(arrows: &'a Arrows, file: &str) -> BTreeSet<&'a str> {
    let direct = |file: &str| arrows.get(file).into_iter().flat_map(|to| to.keys());
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = direct(file).map(String::as_str).collect();
    while let Some(file) = open.pop() {
        if found.insert(file) {
            open.extend(direct(file).map(String::as_str));
        }
    }
    found
}

impl Display for Circle<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} files need each other:", self.files.len())?;
        for from in &self.files {
            for (to, names) in &self.arrows[*from] {
                if self.files.contains(to.as_str()) {
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    writeln!(f, "  {from} -> {to}: {}", names.join(", "))?;
                }
            }
        }
        Ok(())
    }
}
