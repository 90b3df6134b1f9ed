//! The options in an attribute's brackets. Each is taken once by name; what is left over is an error.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, quote};
use syn::{
    Expr, ExprLit, Lit, LitStr, Meta, Path, Token,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned as _,
};

use crate::duration;

/// What stands in the brackets.
pub(crate) struct Options {
    left: Vec<Meta>,
    known: Vec<&'static str>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let metas = Punctuated::<Meta, Token![,]>::parse_terminated(input)?;
        Ok(Self {
            left: metas.into_iter().collect(),
            known: Vec::new(),
        })
    }
}

impl Options {
    fn take(&mut self, name: &'static str) -> syn::Result<Option<Meta>> {
        self.known.push(name);
        let Some(at) = self.left.iter().position(|meta| meta.path().is_ident(name)) else {
            return Ok(None);
        };
        let meta = self.left.remove(at);
        match self.left.iter().find(|other| other.path().is_ident(name)) {
            Some(twice) => Err(syn::Error::new(
                twice.span(),
                format!("`{name}` is given twice"),
            )),
            None => Ok(Some(meta)),
        }
    }

    fn value(&mut self, name: &'static str) -> syn::Result<Option<Expr>> {
        self.take(name)?
            .map(|meta| meta.require_name_value().map(|pair| pair.value.clone()))
            .transpose()
    }

    /// Takes `name = "text"`.
    pub(crate) fn text(&mut self, name: &'static str) -> syn::Result<Option<LitStr>> {
        self.value(name)?
            .map(|value| literal_text(&value))
            .transpose()
    }

    /// Takes `name = "30s"` as an `Option<Duration>` expression.
    pub(crate) fn duration(&mut self, name: &'static str) -> syn::Result<TokenStream> {
        let Some(text) = self.text(name)? else {
            return Ok(quote!(::core::option::Option::None));
        };
        let duration = duration::expand(&text)?;
        Ok(quote!(::core::option::Option::Some(#duration)))
    }

    /// Takes `name = 5` as an `Option` expression of a number.
    pub(crate) fn number(&mut self, name: &'static str) -> syn::Result<TokenStream> {
        match self.value(name)? {
            None => Ok(quote!(::core::option::Option::None)),
            Some(Expr::Lit(ExprLit {
                lit: lit @ (Lit::Int(_) | Lit::Float(_)),
                ..
            })) => Ok(quote!(::core::option::Option::Some(#lit as _))),
            Some(other) => Err(syn::Error::new(other.span(), "expected a number")),
        }
    }

    /// Takes `name = ["a", "b"]`.
    pub(crate) fn texts(&mut self, name: &'static str) -> syn::Result<Vec<LitStr>> {
        match self.value(name)? {
            None => Ok(Vec::new()),
            Some(Expr::Array(array)) => array.elems.iter().map(literal_text).collect(),
            Some(other) => Err(syn::Error::new(
                other.span(),
                "expected a list of texts: [\"A\", \"B\"]",
            )),
        }
    }

    /// Takes the bare word `name`.
    pub(crate) fn flag(&mut self, name: &'static str) -> syn::Result<bool> {
        self.take(name)?
            .map(|meta| meta.require_path_only().map(|_| ()))
            .transpose()
            .map(|found| found.is_some())
    }

    /// Takes `name(...)`.
    pub(crate) fn nested(&mut self, name: &'static str) -> syn::Result<Option<Self>> {
        self.take(name)?
            .map(|meta| meta.require_list().and_then(syn::MetaList::parse_args))
            .transpose()
    }

    /// Takes `crate = path`; `::coreason` if it is not given.
    pub(crate) fn sdk(&mut self) -> syn::Result<Path> {
        match self.value("crate")? {
            None => Ok(syn::parse_quote!(::coreason)),
            Some(Expr::Path(path)) => Ok(path.path),
            Some(other) => Err(syn::Error::new(other.span(), "expected a path")),
        }
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(self) -> syn::Result<()> {
        match self.left.first() {
            None => Ok(()),
            Some(meta) => Err(syn::Error::new(
                meta.span(),
                format!(
                    "unknown option `{}`; there are {}",
                    meta.path().to_token_stream(),
                    self.known.join(", ")
                ),
            )),
        }
    }
}

fn literal_text(value: &Expr) -> syn::Result<LitStr> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok(text.clone()),
        other => Err(syn::Error::new(other.span(), "expected a text in quotes")),
    }
}

/// Returns the name that was given, or the one that is derived; checks it against the rules for ids.
pub(crate) fn name(given: Option<LitStr>, derived: &str, span: Span) -> syn::Result<LitStr> {
    let name = given.unwrap_or_else(|| LitStr::new(derived, span));
    let text = name.value();
    if text.is_empty() || text.len() > 1000 || text.chars().any(char::is_control) {
        return Err(syn::Error::new(
            name.span(),
            "a name has 1 to 1000 bytes and no control characters",
        ));
    }
    Ok(name)
}
