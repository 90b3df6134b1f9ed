//! The table `visibility_attribute`: the values of search attributes as they are compared.

use std::collections::{BTreeMap, BTreeSet};

use history::{
    Payload,
    search_attribute::{SearchAttributeValue, words},
};
use serde_json::value::RawValue;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    limits::VISIBILITY_CHUNK_BYTES,
    store::{
        Error,
        namespaces::{self, Declared, SearchAttribute},
    },
};

/// A run, and what it has.
#[derive(Debug)]
pub(super) struct Of {
    pub(super) namespace: i16,
    pub(super) run_id: Uuid,
    /// A JSON object, as in `execution`.
    pub(super) values: String,
}

/// What a row compares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Keyword(String),
    /// As Postgres reads a `numeric`.
    Number(String),
}

/// Makes the rows of these runs anew.
pub(super) async fn write(connection: &mut PgConnection, runs: &[Of]) -> Result<(), Error> {
    if runs.is_empty() {
        return Ok(());
    }
    let of: Vec<i16> = runs.iter().map(|run| run.namespace).collect();
    let run_ids: Vec<Uuid> = runs.iter().map(|run| run.run_id).collect();
    sqlx::query!(
        "DELETE FROM visibility_attribute a
         USING unnest($1::smallint[], $2::uuid[]) AS u (namespace, run_id)
         WHERE a.namespace = u.namespace AND a.run_id = u.run_id",
        &of,
        &run_ids,
    )
    .execute(&mut *connection)
    .await?;
    // Not as this process knows it: another one may have declared what these have.
    let declared = namespaces::declared(&mut *connection).await?;
    let mut rows = Rows::default();
    let mut bytes = 0;
    for run in runs {
        let Some(declared) = declared.get(&run.namespace) else {
            continue;
        };
        rows.add(declared, run);
        bytes += run.values.len();
        if bytes > VISIBILITY_CHUNK_BYTES {
            std::mem::take(&mut rows).insert(&mut *connection).await?;
            bytes = 0;
        }
    }
    rows.insert(connection).await
}

/// Deletes some of the rows of attributes whose declaration was taken back; says whether there may be more.
pub(crate) async fn forget_attributes(pool: &PgPool, most: i32) -> Result<bool, Error> {
    let deleted = sqlx::query_scalar!(r#"SELECT forget_attributes($1) AS "deleted!""#, most)
        .fetch_one(pool)
        .await?;
    Ok(deleted >= i64::from(most))
}

#[derive(Default)]
struct Rows {
    namespaces: Vec<i16>,
    attributes: Vec<i32>,
    run_ids: Vec<Uuid>,
    keywords: Vec<Option<String>>,
    numbers: Vec<Option<String>>,
}

impl Rows {
    async fn insert(self, connection: &mut PgConnection) -> Result<(), Error> {
        sqlx::query!(
            "INSERT INTO visibility_attribute (namespace, attribute, run_id, keyword, number)
             SELECT u.namespace, u.attribute, u.run_id, u.keyword, u.number::numeric
             FROM unnest($1::smallint[], $2::integer[], $3::uuid[], $4::text[], $5::text[])
                  AS u (namespace, attribute, run_id, keyword, number)",
            &self.namespaces,
            &self.attributes,
            &self.run_ids,
            &self.keywords as &[Option<String>],
            &self.numbers as &[Option<String>],
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    fn add(&mut self, declared: &Declared, run: &Of) {
        // What was written as such an object is one.
        let values: BTreeMap<String, &RawValue> =
            serde_json::from_str(&run.values).unwrap_or_default();
        for (name, value) in values {
            // One that was taken back is not searched for.
            let Some(attribute) = declared.get(&name) else {
                continue;
            };
            for cell in cells(*attribute, value.get()) {
                self.namespaces.push(run.namespace);
                self.attributes.push(attribute.id);
                self.run_ids.push(run.run_id);
                let (keyword, number) = match cell {
                    Cell::Keyword(keyword) => (Some(keyword), None),
                    Cell::Number(number) => (None, Some(number)),
                };
                self.keywords.push(keyword);
                self.numbers.push(number);
            }
        }
    }
}

/// Returns what a value is found by. One of an attribute that has another type by now is found by nothing.
fn cells(attribute: SearchAttribute, json: &str) -> BTreeSet<Cell> {
    use SearchAttributeValue as V;
    let payload = Payload::json_text(json.to_owned());
    let Ok(Some(value)) = attribute.ty.read(&payload) else {
        return BTreeSet::new();
    };
    match value {
        V::Keyword(text) => BTreeSet::from([Cell::Keyword(text)]),
        V::KeywordList(texts) => texts.into_iter().map(Cell::Keyword).collect(),
        V::Text(text) => words(&text).map(Cell::Keyword).collect(),
        V::Int(number) => BTreeSet::from([Cell::Number(number.to_string())]),
        V::Double(number) => BTreeSet::from([Cell::Number(format!("{number:e}"))]),
        V::Bool(is) => BTreeSet::from([Cell::Number(u8::from(is).to_string())]),
        V::Datetime(at) => BTreeSet::from([Cell::Number(at.0.to_string())]),
    }
}

#[cfg(test)]
mod tests {
    use history::SearchAttributeType as Type;

    use super::*;
    use crate::store::{database, session::Pool};

    #[tokio::test]
    async fn the_values_of_an_attribute_that_was_taken_back_are_deleted() {
        let pool = database::fresh().await.pool(Pool::Visibility);
        // Ten rows of each, and of one of each kind that is not there any more.
        let filled = "
            INSERT INTO search_attribute (namespace, name, type) VALUES (1, 'Customer', 2), (1, 'Amount', 3);
            INSERT INTO visibility_attribute (namespace, attribute, run_id, keyword, number)
            SELECT s.namespace, s.id + other, gen_random_uuid(), CASE s.type WHEN 2 THEN 'mara' END, CASE s.type WHEN 3 THEN 5 END
            FROM search_attribute s, unnest(ARRAY[0, 100]) AS other, generate_series(1, 10)";
        sqlx::raw_sql(filled).execute(&pool).await.unwrap();

        let mut steps = 1;
        while forget_attributes(&pool, 3).await.unwrap() {
            steps += 1;
        }

        assert_eq!(steps, 7);
        let left = "SELECT count(*), count(s.id) FROM visibility_attribute a LEFT JOIN search_attribute s ON s.id = a.attribute";
        let left: (i64, i64) = sqlx::query_as(left).fetch_one(&pool).await.unwrap();
        assert_eq!(left, (20, 20));
    }

    #[test]
    fn a_value_is_found_by_what_it_is_compared_with() {
        let keyword = |text: &str| Cell::Keyword(text.to_owned());
        let number = |text: &str| Cell::Number(text.to_owned());
        for (ty, json, found) in [
            (Type::Keyword, r#""Ab c""#, vec![keyword("Ab c")]),
            (
                Type::KeywordList,
                r#"["b","a","b"]"#,
                vec![keyword("a"), keyword("b")],
            ),
            (Type::Text, r#""So, so!""#, vec![keyword("so")]),
            (Type::Int, "-5", vec![number("-5")]),
            (Type::Double, "0.1", vec![number("1e-1")]),
            (Type::Bool, "true", vec![number("1")]),
            (
                Type::Datetime,
                r#""1970-01-01T00:00:01Z""#,
                vec![number("1000000")],
            ),
            (Type::Int, r#""of another time""#, vec![]),
            (Type::KeywordList, "[]", vec![]),
        ] {
            let attribute = SearchAttribute { id: 1, ty };
            let cells: Vec<Cell> = cells(attribute, json).into_iter().collect();
            assert_eq!(cells, found, "{json}");
        }
    }
}
