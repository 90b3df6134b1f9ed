//! What activities and workflows have in common: a function that becomes a type of the same name.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{FnArg, Ident, ItemFn, Path, ReturnType, Type, spanned::Spanned as _};

/// Refuses functions that can't stand for a type.
pub(crate) fn check(function: &ItemFn, what: &str) -> syn::Result<()> {
    let signature = &function.sig;
    if let Some(parameter) = signature.generics.params.first() {
        return Err(syn::Error::new(
            parameter.span(),
            format!("{what} has no generic parameters: its name stands for one input type"),
        ));
    }
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
        return Err(syn::Error::new(
            receiver.span(),
            format!("{what} is a free function, without self"),
        ));
    }
    if let ReturnType::Default = signature.output {
        return Err(syn::Error::new(
            signature.span(),
            format!("{what} returns a Result"),
        ));
    }
    Ok(())
}

/// Returns the types of the parameters.
pub(crate) fn parameters(function: &ItemFn) -> Vec<&Type> {
    let mut types = Vec::new();
    for parameter in &function.sig.inputs {
        if let FnArg::Typed(typed) = parameter {
            types.push(&*typed.ty);
        }
    }
    types
}

/// Returns the type of the function's result.
fn result(function: &ItemFn) -> TokenStream {
    match &function.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, result) => quote!(#result),
    }
}

/// Returns the type that stands for the function, with its body as an associated function, and the function that
/// stands for the type where a value is wanted. It is a function and no unit struct because a pattern would match
/// that: `let charge = ..` and a parameter `charge` shadow a function.
pub(crate) fn declare(function: &ItemFn) -> TokenStream {
    let ItemFn {
        attrs,
        vis,
        sig,
        block,
    } = function;
    let name = &sig.ident;
    let mut body = sig.clone();
    body.ident = Ident::new("body", sig.ident.span());
    let (docs, others): (Vec<_>, Vec<_>) =
        attrs.iter().partition(|attr| attr.path().is_ident("doc"));
    quote! {
        #(#docs)*
        #[allow(non_camel_case_types)]
        #[allow(dead_code)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #vis struct #name {}

        #(#docs)*
        #[allow(non_snake_case)]
        #[must_use]
        #vis const fn #name() -> #name {
            #name {}
        }

        impl #name {
            /// The function as it was written, to be called directly.
            #[allow(dead_code, clippy::unused_async, clippy::needless_pass_by_value, clippy::unnecessary_wraps)]
            #(#others)*
            #vis #body #block
        }
    }
}

/// The parameters that are inputs: their types, and names to bind them to.
pub(crate) struct Inputs<'a> {
    types: Vec<&'a Type>,
    names: Vec<Ident>,
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(types: Vec<&'a Type>) -> Self {
        let names = (0..types.len())
            .map(|at| format_ident!("__input{at}", span = Span::mixed_site()))
            .collect();
        Self { types, names }
    }

    pub(crate) fn names(&self) -> &[Ident] {
        &self.names
    }

    /// The one type that holds all: `()`, the type itself, or a tuple.
    pub(crate) fn ty(&self) -> TokenStream {
        match &self.types[..] {
            [one] => quote!(#one),
            types => quote!((#(#types,)*)),
        }
    }

    /// The pattern that takes a value of that type apart.
    pub(crate) fn pattern(&self) -> TokenStream {
        match &self.names[..] {
            [one] => quote!(#one),
            names => quote!((#(#names,)*)),
        }
    }

    /// What every definition says of itself: its types, the function of that name that returns what it is called as a `kind`, and
    /// `encode` and `decode`, one payload for each input.
    pub(crate) fn definition(
        &self,
        sdk: &Path,
        function: &ItemFn,
        [name, kind]: [&str; 2],
    ) -> TokenStream {
        let (input, codec, result) = (self.ty(), self.codec(sdk), result(function));
        let (function, kind) = (format_ident!("{name}"), format_ident!("{kind}"));
        quote! {
            type Input = #input;
            type Output = <#result as #sdk::__private::Outcome>::Output;
            type Error = <#result as #sdk::__private::Outcome>::Error;

            fn #function() -> #sdk::__private::#kind {
                static TYPE: ::std::sync::OnceLock<#sdk::__private::#kind> = ::std::sync::OnceLock::new();
                TYPE.get_or_init(|| #sdk::__private::#kind::known(Self::NAME)).clone()
            }

            #codec
        }
    }

    fn codec(&self, sdk: &Path) -> TokenStream {
        let (names, types, pattern) = (&self.names, &self.types, self.pattern());
        let at = 0..types.len();
        quote! {
            fn encode(#pattern: Self::Input) -> ::core::result::Result<#sdk::__private::Payloads, #sdk::__private::EncodeError> {
                ::core::result::Result::Ok(#sdk::__private::Payloads(::std::vec![#(#sdk::__private::encode(&#names)?),*]))
            }

            fn decode(__payloads: &#sdk::__private::Payloads) -> ::core::result::Result<Self::Input, #sdk::__private::DecodeError> {
                #(let #names: #types = #sdk::__private::argument(__payloads, #at)?;)*
                ::core::result::Result::Ok(#pattern)
            }
        }
    }
}
