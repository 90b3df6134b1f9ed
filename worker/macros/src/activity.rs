//! `#[activity]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemFn, Path, Type, ext::IdentExt as _, spanned::Spanned as _};

use crate::{
    function::{self, Inputs},
    options::{self, Options},
};

pub(crate) fn expand(mut options: Options, function: &ItemFn) -> syn::Result<TokenStream> {
    function::check(function, "an activity")?;
    let sdk = options.sdk()?;
    let ident = &function.sig.ident;
    let name = options::name(
        options.text("name")?,
        &ident.unraw().to_string(),
        ident.span(),
    )?;
    let defaults = defaults(&mut options, &sdk)?;
    let blocking = options.flag("blocking")?;
    options.finish()?;

    let declaration = function::declare(function);
    let parameters = function::parameters(function);
    let (references, values): (Vec<&Type>, Vec<&Type>) = parameters
        .iter()
        .partition(|parameter| matches!(parameter, Type::Reference(_)));
    let injected: Vec<&Type> = references
        .into_iter()
        .map(|parameter| match parameter {
            Type::Reference(reference) => &*reference.elem,
            other => other,
        })
        .collect();
    for reference in &injected {
        let text = matches!(reference, Type::Path(path) if path.path.is_ident("str"));
        if text || matches!(reference, Type::Slice(_)) {
            return Err(syn::Error::new(
                reference.span(),
                "an input is taken by value, `String` or `Vec<_>`; a reference is a dependency of the worker",
            ));
        }
    }
    let inputs = Inputs::new(values);
    let pattern = inputs.pattern();
    let definition = inputs.definition(&sdk, function, ["activity_type", "ActivityType"]);
    let mut names = inputs.names().iter();
    let arguments: Vec<TokenStream> = parameters
        .iter()
        .map(|parameter| {
            if let Type::Reference(reference) = parameter {
                let injected = &reference.elem;
                return quote!(__scope.get::<#injected>());
            }
            let name = names.next();
            quote!(#name)
        })
        .collect();
    let run = match (function.sig.asyncness.is_some(), blocking) {
        (true, false) => quote! {
            attempt.run::<Self, _, _>(|__scope, #pattern| async move { Self::body(#(#arguments),*).await });
        },
        (true, true) => quote! {
            attempt.run_blocking::<Self, _>(|__scope, #pattern| __scope.block_on(Self::body(#(#arguments),*)));
        },
        (false, _) => quote! {
            attempt.run_blocking::<Self, _>(|__scope, #pattern| Self::body(#(#arguments),*));
        },
    };

    Ok(quote! {
        #declaration

        impl #sdk::__private::ActivityDefinition for #ident {
            const NAME: &'static str = #name;
            const DEFAULTS: #sdk::__private::ActivityDefaults = #defaults;
            const NEEDS: &'static [#sdk::__private::Need] = &[#(#sdk::__private::Need::of::<#injected>()),*];
            #definition
        }

        impl #sdk::__private::ActivityCode for #ident {
            fn run(attempt: #sdk::__private::Attempt) {
                #run
            }
        }
    })
}

fn defaults(options: &mut Options, sdk: &Path) -> syn::Result<TokenStream> {
    let schedule_to_close = options.duration("schedule_to_close")?;
    let schedule_to_start = options.duration("schedule_to_start")?;
    let start_to_close = options.duration("start_to_close")?;
    let heartbeat = options.duration("heartbeat")?;
    let retry = match options.nested("retry")? {
        None => quote!(::core::option::Option::None),
        Some(mut retry) => {
            let max_attempts = retry.number("max_attempts")?;
            let initial = retry.duration("initial")?;
            let max_interval = retry.duration("max_interval")?;
            let backoff = retry.number("backoff")?;
            let non_retryable = retry.texts("non_retryable")?;
            retry.finish()?;
            quote! {
                ::core::option::Option::Some(#sdk::__private::RetryDefaults {
                    max_attempts: #max_attempts,
                    initial: #initial,
                    max_interval: #max_interval,
                    backoff: #backoff,
                    non_retryable: &[#(#non_retryable),*],
                })
            }
        }
    };
    Ok(quote! {
        #sdk::__private::ActivityDefaults {
            schedule_to_close: #schedule_to_close,
            schedule_to_start: #schedule_to_start,
            start_to_close: #start_to_close,
            heartbeat: #heartbeat,
            retry: #retry,
        }
    })
}
