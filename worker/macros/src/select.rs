//! `select!`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{
    Expr, Pat, Token,
    parse::{Parse, ParseStream},
};

/// One line: `pattern = future => body`.
struct Branch {
    pattern: Pat,
    future: Expr,
    body: Expr,
}

pub(crate) struct Select {
    branches: Vec<Branch>,
}

impl Parse for Select {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut branches = Vec::new();
        while !input.is_empty() {
            let pattern = Pat::parse_multi_with_leading_vert(input)?;
            input.parse::<Token![=]>()?;
            let future = Expr::parse_without_eager_brace(input)?;
            input.parse::<Token![=>]>()?;
            let body = Expr::parse_with_earlier_boundary_rule(input)?;
            let block = matches!(
                body,
                Expr::Block(_) | Expr::If(_) | Expr::Match(_) | Expr::Loop(_) | Expr::While(_)
            );
            branches.push(Branch {
                pattern,
                future,
                body,
            });
            if input.peek(Token![,]) {
                input.parse::<Token![,]>()?;
            } else if !block && !input.is_empty() {
                return Err(input.error("expected a comma after the branch"));
            }
        }
        if branches.is_empty() {
            return Err(input.error("expected a branch: `pattern = future => body`"));
        }
        Ok(Self { branches })
    }
}

/// Polls in the order written, drops all futures, and only then runs the winner's body.
pub(crate) fn expand(select: &Select) -> TokenStream {
    let ident = |kind: &str, at: usize| format_ident!("{kind}{at}", span = Span::mixed_site());
    let count = select.branches.len();
    let variants: Vec<_> = (0..count).map(|at| ident("B", at)).collect();
    let futures: Vec<_> = (0..count).map(|at| ident("future", at)).collect();
    let patterns = select.branches.iter().map(|branch| &branch.pattern);
    let expressions = select.branches.iter().map(|branch| &branch.future);
    let bodies = select.branches.iter().map(|branch| &branch.body);
    quote! {{
        enum __Winner<#(#variants),*> { #(#variants(#variants)),* }
        let __winner = {
            #(let mut #futures = ::core::pin::pin!(::core::future::IntoFuture::into_future(#expressions));)*
            ::core::future::poll_fn(|__context| {
                #(if let ::core::task::Poll::Ready(__value) =
                    ::core::future::Future::poll(#futures.as_mut(), __context)
                {
                    return ::core::task::Poll::Ready(__Winner::#variants(__value));
                })*
                ::core::task::Poll::Pending
            })
            .await
        };
        match __winner { #(__Winner::#variants(#patterns) => #bodies),* }
    }}
}
