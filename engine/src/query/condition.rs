//! A condition: an attribute, an operator that its type allows, and values.

use super::{
    Attribute, CONDITIONS_MAX, Condition, LIST_VALUES_MAX, Test, Value, builtin,
    error::Problem,
    lexer::{Kind, Token, shown},
    operator::Operator,
    parser::{Parser, foreign, unclosed},
    value,
};

impl<'a> Parser<'a> {
    pub(super) fn condition(&mut self) -> Result<Condition, Problem> {
        if self.conditions == CONDITIONS_MAX {
            let what = format!("the query has more than {CONDITIONS_MAX} conditions");
            let advice = "write values of the same attribute as a list: WorkflowId IN ('a', 'b')";
            return Err(Problem::new(self.next.at, what, advice));
        }
        self.conditions += 1;
        let attribute = self.attribute()?;
        let test = self.test(&attribute)?;
        Ok(Condition { attribute, test })
    }

    /// Takes the name of an attribute.
    pub(super) fn attribute(&mut self) -> Result<Attribute, Problem> {
        let token = self.take()?;
        let attribute = match &token.kind {
            Kind::Word => (self.attributes)(token.written),
            Kind::Name(name) => (self.attributes)(name),
            Kind::Text(_) | Kind::Sign | Kind::End => None,
        };
        attribute.ok_or_else(|| no_attribute(&token, &self.next))
    }

    fn test(&mut self, attribute: &Attribute) -> Result<Test, Problem> {
        let first = self.take()?;
        if first.is_word("IS") {
            return self.null();
        }
        let not = first.is_word("NOT");
        let token = if not { self.take()? } else { first };
        let operator = Operator::of(&token).ok_or_else(|| no_operator(attribute, &token))?;
        if !operator.is_allowed(attribute.ty) {
            return Err(not_allowed(attribute, &token));
        }
        match (operator, not) {
            (Operator::Compare(comparison), false) => {
                Ok(Test::Compare(comparison, self.value(attribute)?))
            }
            (Operator::Compare(_), true) => {
                let what = format!("NOT can't stand before {}", token.shown());
                let advice = "write NOT in front of the attribute";
                Err(Problem::new(token.at, what, advice))
            }
            (Operator::In, false) => self.list(attribute).map(Test::In),
            (Operator::In, true) => self.list(attribute).map(Test::NotIn),
            (Operator::Between, false) => self.range(attribute, Test::Between),
            (Operator::Between, true) => self.range(attribute, Test::NotBetween),
            (Operator::StartsWith, false) => self.text(attribute).map(Test::StartsWith),
            (Operator::StartsWith, true) => self.text(attribute).map(Test::NotStartsWith),
        }
    }

    fn null(&mut self) -> Result<Test, Problem> {
        let not = self.takes_word("NOT")?;
        if !self.takes_word("NULL")? {
            let what = "`IS` has no NULL behind it";
            let advice = "write IS NULL or IS NOT NULL, and = before other values";
            return Err(Problem::new(self.next.at, what, advice));
        }
        Ok(if not { Test::IsNotNull } else { Test::IsNull })
    }

    fn list(&mut self, attribute: &Attribute) -> Result<Vec<Value>, Problem> {
        let opened_at = self.next.at;
        if !self.takes_sign("(")? {
            let example = value::example(attribute.ty);
            let advice = format!("write the values in parentheses, such as ({example})");
            return Err(Problem::new(
                opened_at,
                "`IN` has no list behind it",
                advice,
            ));
        }
        let mut values = vec![];
        loop {
            if values.len() == LIST_VALUES_MAX {
                let what = format!("the list has more than {LIST_VALUES_MAX} values");
                let advice = "write several lists with OR between them, or several queries";
                return Err(Problem::new(self.next.at, what, advice));
            }
            if self.next.is_word("SELECT") {
                return Err(unclosed(opened_at, &self.next, ")"));
            }
            values.push(self.value(attribute)?);
            if !self.takes_sign(",")? {
                break;
            }
        }
        if self.takes_sign(")")? {
            Ok(values)
        } else {
            Err(unclosed(opened_at, &self.next, ", or )"))
        }
    }

    fn range(
        &mut self,
        attribute: &Attribute,
        test: fn(Value, Value) -> Test,
    ) -> Result<Test, Problem> {
        let from = self.value(attribute)?;
        if !self.takes_word("AND")? {
            let what = "`BETWEEN` has no AND behind its first value";
            let example = value::example(attribute.ty);
            let advice = format!("write {} BETWEEN {example} AND {example}", attribute.name);
            return Err(Problem::new(self.next.at, what, advice));
        }
        Ok(test(from, self.value(attribute)?))
    }

    fn value(&mut self, attribute: &Attribute) -> Result<Value, Problem> {
        let literal = self.literal(attribute)?;
        value::read(attribute, &literal)
    }

    /// Takes a text of a `Keyword`.
    fn text(&mut self, attribute: &Attribute) -> Result<String, Problem> {
        let literal = self.literal(attribute)?;
        match literal.kind {
            Kind::Text(text) => Ok(text),
            _ => Err(value::unfit(attribute, &literal)),
        }
    }

    fn literal(&mut self, attribute: &Attribute) -> Result<Token<'a>, Problem> {
        let literal = self.take()?;
        let name = &attribute.name;
        if literal.is_word("NULL") {
            let what = "no value is equal to NULL, or before or behind it";
            let advice = format!("write {name} IS NULL or {name} IS NOT NULL");
            Err(Problem::new(literal.at, what, advice))
        } else if matches!(literal.kind, Kind::Word) && self.next.is_sign("(") {
            let what = format!("{} is called as a function", literal.shown());
            let advice = format!("write the value itself: {}", value::expected(attribute.ty));
            Err(Problem::new(literal.at, what, advice))
        } else if literal.is_sign("(") {
            let advice = format!("write the value itself: {}", value::expected(attribute.ty));
            let problem = Problem::new(literal.at, "a list stands behind IN only", advice);
            Err(foreign(&self.next).unwrap_or(problem))
        } else {
            Ok(literal)
        }
    }
}

fn no_attribute(token: &Token<'_>, next: &Token<'_>) -> Problem {
    const CONDITION: &str = "write a condition, such as WorkflowType = 'order'";
    const FIRST: &str =
        "write the attribute first and without quotes, such as WorkflowType = 'order'";
    const FUNCTION: &str =
        "write an attribute, an operator and a value, such as WorkflowType STARTS_WITH 'order-'";
    if let Some(problem) = foreign(token) {
        return problem;
    }
    let is_value = |c: char| c.is_ascii_digit() || matches!(c, '\'' | '"');
    let is_order = token.is_word("ORDER") && next.is_word("BY");
    let (what, advice) = if token.is_end() {
        ("an attribute is missing".to_owned(), CONDITION)
    } else if matches!(token.kind, Kind::Word) && next.is_sign("(") {
        (
            format!("{} is called as a function", token.shown()),
            FUNCTION,
        )
    } else if token.is_keyword() || is_order || matches!(token.kind, Kind::Sign) {
        (
            format!("an attribute is missing before {}", token.shown()),
            CONDITION,
        )
    } else if token.written.starts_with(is_value) {
        (format!("{} is no attribute", token.shown()), FIRST)
    } else {
        return unknown(token);
    };
    Problem::new(token.at, what, advice)
}

fn unknown(token: &Token<'_>) -> Problem {
    let name = token.written.trim_matches('`');
    let what = format!("there is no attribute {}", shown(name));
    let advice = builtin::meant_by(name).map_or_else(
        || "check the name, also its upper and lower case; texts are written in quotes".to_owned(),
        |meant| format!("write {meant}"),
    );
    Problem::new(token.at, what, advice)
}

fn no_operator(attribute: &Attribute, token: &Token<'_>) -> Problem {
    if let Some(problem) = foreign(token) {
        return problem;
    }
    let what = if token.is_end() {
        "an operator and a value are missing".to_owned()
    } else {
        format!("{} is no operator", token.shown())
    };
    let example = value::example(attribute.ty);
    let advice = format!("write a condition, such as {} = {example}", attribute.name);
    Problem::new(token.at, what, advice)
}

fn not_allowed(attribute: &Attribute, operator: &Token<'_>) -> Problem {
    let Attribute { name, ty } = attribute;
    let what = format!(
        "{} can't be used with the {ty} attribute `{name}`",
        operator.shown()
    );
    let advice = format!("use {}", Operator::allowed(*ty));
    Problem::new(operator.at, what, advice)
}
