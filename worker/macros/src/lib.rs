//! The attributes `#[workflow]`, `#[activity]` and `#[signal]`, and `select!`. The `worker` crate re-exports and documents them.
//!
//! Generated code names the SDK as `::coreason`. Where it goes by another name, say so once with
//! `extern crate worker as coreason;` or at the item with `#[activity(crate = worker)]`.

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemFn, parse_macro_input};

mod activity;
mod duration;
mod function;
mod options;
mod select;
mod signal;
mod workflow;

use options::Options;

/// Makes an activity of a function; see `worker::prelude`.
#[proc_macro_attribute]
pub fn activity(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as Options);
    let function = parse_macro_input!(item as ItemFn);
    activity::expand(options, &function)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a workflow of an async function; see `worker::prelude`.
#[proc_macro_attribute]
pub fn workflow(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as Options);
    let function = parse_macro_input!(item as ItemFn);
    workflow::expand(options, &function)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a signal of a struct or an enum; see `worker::prelude`.
#[proc_macro_attribute]
pub fn signal(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as Options);
    let item = parse_macro_input!(item as DeriveInput);
    signal::expand(options, &item)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Waits for the first of several futures, polled in the order written; see `worker::prelude`.
#[proc_macro]
pub fn select(input: TokenStream) -> TokenStream {
    select::expand(&parse_macro_input!(input as select::Select)).into()
}
