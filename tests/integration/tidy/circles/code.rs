//! The paths that stand in a piece of code, macros' arguments among them.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::UseTree;

use super::source::{Path, needs_test};

/// What a piece of code names.
#[derive(Default)]
pub(super) struct Named {
    /// `a::b`, and single names too.
    pub(super) paths: Vec<Path>,
    /// `use` inside functions.
    pub(super) uses: Vec<UseTree>,
}

impl Named {
    pub(super) fn read(&mut self, code: impl IntoIterator<Item = TokenTree>) {
        let tokens: Vec<TokenTree> = code.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = match &tokens[at] {
                TokenTree::Punct(punct)
                    if punct.as_char() == '#' && is_for_tests(&tokens[at..]) =>
                {
                    after_item(&tokens, at + 2)
                }
                TokenTree::Ident(name) if name == "use" => self.read_use(&tokens, at + 1),
                TokenTree::Ident(_) => self.read_path(&tokens, at),
                TokenTree::Group(group) => {
                    self.read(group.stream());
                    at + 1
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => at + 1,
            };
        }
    }

    fn read_use(&mut self, tokens: &[TokenTree], from: usize) -> usize {
        let end = from
            + tokens[from..]
                .iter()
                .take_while(|token| !is(token, ';'))
                .count();
        let tree: TokenStream = tokens[from..end].iter().cloned().collect();
        // `use<'a>` in a type is none.
        if let Ok(tree) = syn::parse2(tree) {
            self.uses.push(tree);
            return end;
        }
        from
    }

    fn read_path(&mut self, tokens: &[TokenTree], from: usize) -> usize {
        let mut path = Path::new();
        let mut at = from;
        while let Some(TokenTree::Ident(name)) = tokens.get(at) {
            path.push(name.to_string());
            at += 1;
            if !is_at(tokens, at, ':') || !is_at(tokens, at + 1, ':') {
                break;
            }
            at += 2;
        }
        if !goes_on(&tokens[..from]) {
            self.paths.push(path);
        }
        at
    }
}

fn is(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

/// Returns whether the name after these is a field, a method, a lifetime, or a part of `<T as Trait>::name`.
fn goes_on(before: &[TokenTree]) -> bool {
    match before {
        [.., first, second] if is(second, ':') => is(first, ':'),
        // Two are a range.
        [.., first, second] if is(second, '.') => !is(first, '.'),
        [.., mark] => is(mark, '.') || is(mark, '\''),
        [] => false,
    }
}

fn is_at(tokens: &[TokenTree], at: usize, mark: char) -> bool {
    tokens.get(at).is_some_and(|token| is(token, mark))
}

/// Returns whether `#[cfg(test)]` stands here.
fn is_for_tests(tokens: &[TokenTree]) -> bool {
    let Some(TokenTree::Group(attribute)) = tokens.get(1) else {
        return false;
    };
    let mut inner = attribute.stream().into_iter();
    match (inner.next(), inner.next()) {
        (Some(TokenTree::Ident(name)), Some(TokenTree::Group(condition))) => {
            name == "cfg" && needs_test(condition.stream())
        }
        _ => false,
    }
}

/// Returns where what begins here ends: after its braces, a semicolon or a comma.
fn after_item(tokens: &[TokenTree], from: usize) -> usize {
    let length = tokens[from..]
        .iter()
        .take_while(|token| match token {
            TokenTree::Group(group) => group.delimiter() != Delimiter::Brace,
            TokenTree::Punct(punct) => ![';', ','].contains(&punct.as_char()),
            TokenTree::Ident(_) | TokenTree::Literal(_) => true,
        })
        .count();
    from + length + 1
}
