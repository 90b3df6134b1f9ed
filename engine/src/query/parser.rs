//! How conditions are joined: `NOT` binds more than `AND`, and `AND` more than `OR`.

use std::mem;

use super::{
    Attribute, Direction, Filter, NESTING_MAX, Order, Query, Type,
    error::Problem,
    lexer::{Lexer, Token},
};

/// Reads a query token by token.
pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token that is read next.
    pub(super) next: Token<'a>,
    pub(super) attributes: &'a dyn Fn(&str) -> Option<Attribute>,
    /// How many conditions were read.
    pub(super) conditions: usize,
    /// How many parentheses and `NOT`s are open.
    nesting: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(
        text: &'a str,
        attributes: &'a dyn Fn(&str) -> Option<Attribute>,
    ) -> Result<Self, Problem> {
        let mut lexer = Lexer::new(text);
        Ok(Self {
            next: lexer.token()?,
            lexer,
            attributes,
            conditions: 0,
            nesting: 0,
        })
    }

    pub(super) fn query(mut self) -> Result<Query, Problem> {
        let mut query = Query::default();
        if !self.next.is_end() && !self.next.is_word("ORDER") {
            query.filter = Some(self.filter()?);
        }
        if self.next.is_word("ORDER") {
            query.order.push(self.order()?);
        }
        if self.next.is_end() {
            Ok(query)
        } else {
            Err(trailing(&self.next, &query))
        }
    }

    fn filter(&mut self) -> Result<Filter, Problem> {
        let mut filters = vec![];
        loop {
            match self.all()? {
                Filter::Or(inner) => filters.extend(inner),
                other => filters.push(other),
            }
            if !self.takes_word("OR")? {
                return Ok(only(filters).unwrap_or_else(Filter::Or));
            }
        }
    }

    fn all(&mut self) -> Result<Filter, Problem> {
        let mut filters = vec![];
        loop {
            match self.one()? {
                Filter::And(inner) => filters.extend(inner),
                other => filters.push(other),
            }
            if !self.takes_word("AND")? {
                return Ok(only(filters).unwrap_or_else(Filter::And));
            }
        }
    }

    fn one(&mut self) -> Result<Filter, Problem> {
        if self.next.is_word("NOT") {
            let filter = self.nested(Self::one)?;
            Ok(Filter::Not(Box::new(filter)))
        } else if self.next.is_sign("(") {
            let opened_at = self.next.at;
            let filter = self.nested(Self::filter)?;
            if self.takes_sign(")")? {
                Ok(filter)
            } else {
                Err(unclosed(opened_at, &self.next, ")"))
            }
        } else {
            self.condition().map(Filter::Condition)
        }
    }

    /// Takes the token that opens a level, and reads what is in it.
    fn nested(
        &mut self,
        inner: fn(&mut Self) -> Result<Filter, Problem>,
    ) -> Result<Filter, Problem> {
        let opened = self.take()?;
        if self.nesting == NESTING_MAX {
            let what = format!("more than {NESTING_MAX} parentheses and NOTs are nested");
            let advice = "leave out those that are not needed";
            return Err(Problem::new(opened.at, what, advice));
        }
        self.nesting += 1;
        let filter = inner(self)?;
        self.nesting -= 1;
        Ok(filter)
    }

    fn order(&mut self) -> Result<Order, Problem> {
        const ADVICE: &str = "write ORDER BY StartTime, or an attribute called Order in backticks";
        self.take()?;
        if !self.takes_word("BY")? {
            let what = "`ORDER` has no `BY` behind it";
            return Err(Problem::new(self.next.at, what, ADVICE));
        }
        let at = self.next.at;
        let attribute = self.attribute()?;
        if matches!(attribute.ty, Type::Text | Type::KeywordList) {
            let Attribute { name, ty } = attribute;
            let what = format!("runs have no order by the {ty} attribute `{name}`");
            let advice = "order them by an attribute with one value, such as StartTime";
            return Err(Problem::new(at, what, advice));
        }
        let direction = if self.takes_word("DESC")? {
            Direction::Descending
        } else {
            self.takes_word("ASC")?;
            Direction::Ascending
        };
        Ok(Order {
            attribute,
            direction,
        })
    }

    /// Returns the next token and goes on to the one behind it.
    pub(super) fn take(&mut self) -> Result<Token<'a>, Problem> {
        let next = self.lexer.token()?;
        Ok(mem::replace(&mut self.next, next))
    }

    /// Takes the next token if it is this keyword.
    pub(super) fn takes_word(&mut self, word: &str) -> Result<bool, Problem> {
        let takes = self.next.is_word(word);
        if takes {
            self.take()?;
        }
        Ok(takes)
    }

    /// Takes the next token if it is this sign.
    pub(super) fn takes_sign(&mut self, sign: &str) -> Result<bool, Problem> {
        let takes = self.next.is_sign(sign);
        if takes {
            self.take()?;
        }
        Ok(takes)
    }
}

/// Returns the one filter of a list, or else the list.
fn only(filters: Vec<Filter>) -> Result<Filter, Vec<Filter>> {
    <[Filter; 1]>::try_from(filters).map(|[only]| only)
}

fn trailing(token: &Token<'_>, query: &Query) -> Problem {
    if let Some(problem) = foreign(token) {
        return problem;
    }
    let shown = token.shown();
    let what = format!("{shown} does not belong here");
    let advice = match token.written {
        "," if !query.order.is_empty() => {
            "order by one attribute at most; runs that are equal in it are ordered by their run ids"
        }
        ")" => "leave it out, or write the ( that it closes",
        _ if !query.order.is_empty() => "write ASC or DESC, or end the query",
        _ => "write AND, OR or ORDER BY, or end the query",
    };
    Problem::new(token.at, what, advice)
}

/// Returns the problem of a parenthesis, where one of these signs should stand and another token does.
pub(super) fn unclosed(opened_at: usize, token: &Token<'_>, signs: &str) -> Problem {
    if let Some(problem) = foreign(token) {
        return problem;
    }
    let what = "the ( that begins here is never closed";
    let advice = if token.is_end() {
        "write ) at the end".to_owned()
    } else {
        format!("write {signs} before {}", token.shown())
    };
    Problem::new(opened_at, what, advice)
}

/// Returns the problem of a token that is SQL but not of this language.
pub(super) fn foreign(token: &Token<'_>) -> Option<Problem> {
    const FOREIGN: [(&[&str], &str); 4] = [
        (
            &["LIKE", "ILIKE", "RLIKE", "REGEXP"],
            "write STARTS_WITH 'order-' for a Keyword, or = 'word' for a Text",
        ),
        (
            &["LIMIT", "OFFSET"],
            "leave it out; the size of a page is given beside the query",
        ),
        (
            &["GROUP", "HAVING"],
            "leave it out, and write one query for each group",
        ),
        (
            &["SELECT", "WHERE", "FROM", "UNION", "EXISTS"],
            "write only what stands behind WHERE in SQL, such as WorkflowType = 'order'",
        ),
    ];
    let (_, advice) = FOREIGN
        .into_iter()
        .find(|(words, _)| words.iter().any(|word| token.is_word(word)))?;
    let what = format!("{} can't be used in a query", token.shown());
    Some(Problem::new(token.at, what, advice))
}
