//! `#[signal]`.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::{DeriveInput, ext::IdentExt as _};

use crate::options::{self, Options};

pub(crate) fn expand(mut options: Options, item: &DeriveInput) -> syn::Result<TokenStream> {
    let sdk = options.sdk()?;
    let ident = &item.ident;
    let name = options::name(
        options.text("name")?,
        &snake_case(&ident.unraw().to_string()),
        ident.span(),
    )?;
    options.finish()?;
    let derives: String = item
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("derive"))
        .map(|attr| attr.to_token_stream().to_string())
        .collect();
    let mut wanted = Vec::new();
    for derive in ["Serialize", "Deserialize"] {
        if !derives.contains(derive) {
            let derive = quote::format_ident!("{derive}");
            wanted.push(quote!(#sdk::__private::serde::#derive));
        }
    }
    let serde = (!wanted.is_empty()).then(|| {
        let path = quote!(#sdk::__private::serde).to_string().replace(' ', "");
        quote!(#[derive(#(#wanted),*)] #[serde(crate = #path)])
    });
    let (implementation, ty, bounds) = item.generics.split_for_impl();
    Ok(quote! {
        #serde
        #item

        impl #implementation #sdk::__private::SignalDefinition for #ident #ty #bounds {
            const NAME: &'static str = #name;
        }
    })
}

/// Returns `ApproveOrder` as `approve_order`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    let mut before = '_';
    for letter in name.chars() {
        if letter.is_uppercase() && before != '_' && !before.is_uppercase() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
        before = letter;
    }
    snake
}

#[cfg(test)]
mod tests {
    #[test]
    fn signals_are_named_in_snake_case() {
        for (name, snake) in [
            ("Approve", "approve"),
            ("ApproveOrder", "approve_order"),
            ("HTTPDone", "httpdone"),
        ] {
            assert_eq!(super::snake_case(name), snake);
        }
    }
}
