//! `#[workflow]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemFn, Type, ext::IdentExt as _, spanned::Spanned as _};

use crate::{
    function::{self, Inputs},
    options::{self, Options},
};

pub(crate) fn expand(mut options: Options, function: &ItemFn) -> syn::Result<TokenStream> {
    function::check(function, "a workflow")?;
    if function.sig.asyncness.is_none() {
        return Err(syn::Error::new(
            function.sig.fn_token.span(),
            "a workflow is an async function",
        ));
    }
    let sdk = options.sdk()?;
    let ident = &function.sig.ident;
    let name = options::name(
        options.text("name")?,
        &ident.unraw().to_string(),
        ident.span(),
    )?;
    let task_timeout = options.duration("task_timeout")?;
    let run_timeout = options.duration("run_timeout")?;
    let execution_timeout = options.duration("execution_timeout")?;
    options.finish()?;

    let parameters = function::parameters(function);
    let Some((context, values)) = parameters.split_first() else {
        return Err(syn::Error::new(
            function.sig.span(),
            "the first parameter of a workflow is its context: `wf: Workflow`",
        ));
    };
    let context = if let Type::Reference(_) = context {
        quote!(&__workflow)
    } else {
        quote!(__workflow)
    };
    let declaration = function::declare(function);
    let inputs = Inputs::new(values.to_vec());
    let pattern = inputs.pattern();
    let definition = inputs.definition(&sdk, function, ["workflow_type", "WorkflowType"]);
    let names = inputs.names();

    Ok(quote! {
        #declaration

        impl #sdk::__private::WorkflowDefinition for #ident {
            const NAME: &'static str = #name;
            const DEFAULTS: #sdk::__private::WorkflowDefaults = #sdk::__private::WorkflowDefaults {
                task_timeout: #task_timeout,
                run_timeout: #run_timeout,
                execution_timeout: #execution_timeout,
            };
            #definition
        }

        impl #sdk::__private::WorkflowCode for #ident {
            fn start(__workflow: #sdk::__private::Workflow, #pattern: Self::Input) -> #sdk::__private::Coroutine {
                ::std::boxed::Box::pin(async move {
                    #sdk::__private::ended::<Self>(Self::body(#context, #(#names),*).await)
                })
            }
        }
    })
}
