//! The resolver on a small tree.

use super::{
    arrows::{Arrows, arrows},
    circle::circles,
    source::Files,
};

fn tree(files: &[(&str, &str)]) -> Files {
    files
        .iter()
        .map(|(file, text)| (format!("src/{file}"), (*text).to_owned()))
        .collect()
}

/// Returns the arrows as `from -> to: names`, without the folder.
fn lines(arrows: &Arrows) -> Vec<String> {
    let mut lines = Vec::new();
    for (from, to) in arrows {
        for (to, names) in to {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let line = format!("{from} -> {to}: {}", names.join(" "));
            lines.push(line.replace("src/", ""));
        }
    }
    lines
}

fn lines_of(files: &[(&str, &str)]) -> Vec<String> {
    lines(&arrows(&tree(files), "src/lib.rs"))
}

#[test]
fn an_arrow_goes_to_the_file_that_defines_the_item() {
    let found = lines_of(&[
        ("lib.rs", "mod door; mod room; pub use room::Lamp;"),
        (
            "door.rs",
            "use crate::Lamp; use crate::room::Chair as Seat;",
        ),
        (
            "room/mod.rs",
            "mod lamp; pub use lamp::Lamp; pub struct Chair;",
        ),
        ("room/lamp.rs", "pub struct Lamp;"),
    ]);
    assert_eq!(
        found,
        [
            "door.rs -> room/lamp.rs: Lamp",
            "door.rs -> room/mod.rs: Chair",
            "lib.rs -> room/lamp.rs: Lamp",
            "room/mod.rs -> room/lamp.rs: Lamp",
        ]
    );
}

#[test]
fn paths_in_code_are_arrows_and_modules_alone_are_none() {
    let found = lines_of(&[
        ("lib.rs", "mod door; mod room; use room; fn at() { vec![door::open()]; }"),
        (
            "door.rs",
            "use crate::room::{self, lamp}; use std::fmt;
             pub fn open() { room::enter(); let on: lamp::On = super::room::lamp::On; fmt::format(); }",
        ),
        ("room/mod.rs", "pub mod lamp; pub fn enter() { self::lamp::On.shine(); }"),
        ("room/lamp.rs", "pub struct On; impl On { fn shine(&self) { self.x.open(); } }"),
    ]);
    assert_eq!(
        found,
        [
            "door.rs -> room/lamp.rs: On",
            "door.rs -> room/mod.rs: enter",
            "lib.rs -> door.rs: open",
            "room/mod.rs -> room/lamp.rs: On",
        ]
    );
}

#[test]
fn what_is_only_for_tests_is_left_out() {
    let found = lines_of(&[
        (
            "lib.rs",
            "mod door; #[cfg(test)] mod tests; pub struct House;",
        ),
        (
            "door.rs",
            "#[cfg(test)] mod tests { use crate::House; }
             struct Door; impl Door { #[cfg(test)] fn of() -> crate::House { crate::House } }",
        ),
    ]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn names_taken_by_a_star_or_inside_a_function_are_followed() {
    let found = lines_of(&[
        ("lib.rs", "mod door; mod room; mod key;"),
        (
            "door.rs",
            "use super::room::*; fn open() { Lamp; use crate::key; key::turn(); }",
        ),
        ("room.rs", "pub struct Lamp; pub struct Chair;"),
        ("key.rs", "pub fn turn() {}"),
    ]);
    assert_eq!(
        found,
        ["door.rs -> key.rs: turn", "door.rs -> room.rs: Lamp"]
    );
}

#[test]
fn what_another_crate_or_a_macro_made_is_the_file_that_offers_it() {
    let found = lines_of(&[
        ("lib.rs", "mod door; mod ids; pub use other::Thing;"),
        (
            "door.rs",
            "use crate::{Thing, ids::RunId}; use other::Else;",
        ),
        ("ids.rs", "names! { RunId }"),
    ]);
    assert_eq!(
        found,
        ["door.rs -> ids.rs: RunId", "door.rs -> lib.rs: Thing"]
    );
}

#[test]
fn a_module_and_an_item_may_share_a_name() {
    let found = lines_of(&[
        ("lib.rs", "mod open; pub use open::open; mod door;"),
        ("open.rs", "pub fn open() {} pub struct Opened;"),
        (
            "door.rs",
            "use crate::open; fn on() { open(); let was: open::Opened; }",
        ),
    ]);
    assert_eq!(
        found,
        ["door.rs -> open.rs: Opened open", "lib.rs -> open.rs: open"]
    );
}

#[test]
fn a_circle_names_its_files_and_the_arrows_between_them() {
    let files = tree(&[
        ("lib.rs", "mod a; mod b; mod c; mod d; use a::A;"),
        ("a.rs", "pub struct A; use super::b::B; use super::d::D;"),
        ("b.rs", "pub struct B; use super::c::C;"),
        ("c.rs", "pub struct C; use super::a::A;"),
        ("d.rs", "pub struct D;"),
    ]);
    let arrows = arrows(&files, "src/lib.rs");
    let circles: Vec<String> = circles(&arrows).iter().map(ToString::to_string).collect();
    assert_eq!(
        circles,
        [
            "3 files need each other:\n  src/a.rs -> src/b.rs: B\n  src/b.rs -> src/c.rs: C\n  src/c.rs -> src/a.rs: A\n"
        ]
    );
}
