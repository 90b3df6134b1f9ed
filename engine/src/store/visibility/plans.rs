//! How the server finds a page among a million runs: by an index, whatever is asked, and without looking at much more than it shows.

use std::fmt::Write as _;

use history::{RunId, SearchAttributeType as Type};
use serde_json::Value;
use sqlx::{PgPool, QueryBuilder, Row as _};

use super::{
    list::Of,
    order::{Cursor, Ordered},
};
use crate::{
    query::{self, Attribute, built_in_attribute},
    store::{
        database,
        namespaces::{Declared, Namespaces},
        search_attributes,
        session::Pool,
    },
};

/// How many runs a page has.
const PAGE: u32 = 100;
/// How many runs there are, all closed.
const RUNS: u32 = 1_000_000;
/// What a page may take, the fastest time of a few: other tests run beside this one.
const PAGE_MILLIS_MAX: f64 = 50.0;
/// How often a slow page is asked for again.
const TRIES: usize = 5;
/// How many rows of tables and indexes a page of 100 may look at: a fiftieth of all.
const LOOKED_AT_MAX: f64 = 20_000.0;

const DECLARED: [(&str, Type); 6] = [
    ("Customer", Type::Keyword),
    ("Env", Type::Keyword),
    ("Tags", Type::KeywordList),
    ("Note", Type::Text),
    ("Count", Type::Int),
    ("DueAt", Type::Datetime),
];

/// Runs of a tenth of a second each: most of them alike, some rare; every tenth is a child; every fourth has search attributes.
async fn fill(pool: &PgPool) {
    for (name, ty) in DECLARED {
        search_attributes::declare(pool, 1, name, ty).await.unwrap();
    }
    // Without indexes and a log it takes seconds.
    let without = "SELECT string_agg(pg_get_indexdef(i.indexrelid), ';' ORDER BY i.indexrelid)
                   FROM pg_index i WHERE i.indrelid IN ('visibility'::regclass, 'visibility_attribute'::regclass) AND NOT i.indisprimary";
    let again: String = sqlx::query_scalar(without).fetch_one(pool).await.unwrap();
    let mut sql = String::from(
        "ALTER TABLE visibility SET UNLOGGED; ALTER TABLE visibility_attribute SET UNLOGGED;
         DO $$ DECLARE name text; BEGIN
             FOR name IN SELECT i.indexrelid::regclass::text FROM pg_index i
                 WHERE i.indrelid IN ('visibility'::regclass, 'visibility_attribute'::regclass) AND NOT i.indisprimary LOOP
                 EXECUTE 'DROP INDEX ' || name;
             END LOOP;
         END $$;",
    );
    write!(
        sql,
        "CREATE TEMP TABLE run AS
         SELECT n, (lpad(to_hex(1795000000000 + n * 100), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid AS id,
                to_timestamp(1795000000 + n * 0.1) AS at
         FROM generate_series(1::bigint, {RUNS}) n;
         INSERT INTO visibility
         SELECT 1, r.id, r.n % 1024, 'order-' || r.n, CASE WHEN r.n % 1000 = 0 THEN 'rare' WHEN r.n % 10 < 7 THEN 'order' ELSE 'ship' END,
                CASE WHEN r.n % 5000 = 0 THEN 'gpu' ELSE 'default' END, CASE WHEN r.n % 2000 = 1 THEN 3 WHEN r.n % 100 = 2 THEN 4 ELSE 2 END,
                r.at, r.at, r.at + (r.n % 977) * interval '1 second',
                (r.n % 977) * 1000000 + CASE WHEN r.n % 5000 = 3 THEN 10000000000 ELSE 0 END, 11, 5000,
                p.id, p.run_id, p.id, p.run_id, NULL
         FROM run r
         LEFT JOIN LATERAL (SELECT 'order-' || r.n / 100 * 100 AS id, r.id AS run_id WHERE r.n % 10 = 9) p ON true;
         INSERT INTO visibility_attribute
         SELECT 1, s.id, r.id, x.keyword, x.number
         FROM run r
         CROSS JOIN LATERAL (VALUES ('Customer', 'c' || r.n % 20000, NULL::numeric),
                                    ('Env', CASE WHEN r.n % 80 = 0 THEN 'test' ELSE 'production' END, NULL),
                                    ('Count', NULL, r.n % 10007), ('DueAt', NULL, (1795000000 + r.n) * 1000000),
                                    ('Tags', 't' || r.n / 4 % 50, NULL), ('Tags', 'u' || r.n % 3000, NULL),
                                    ('Note', 'late', NULL), ('Note', 'word' || r.n % 500, NULL)) AS x (name, keyword, number)
         JOIN search_attribute s ON s.name = x.name
         WHERE r.n % 4 = 0;
         {again}; ANALYZE visibility; ANALYZE visibility_attribute"
    )
    .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(pool)
        .await
        .unwrap();
}

/// What the server did for a page.
#[derive(Debug, Default)]
struct Done {
    looked_at: f64,
    whole_tables: Vec<String>,
    millis: f64,
    rows: f64,
    plan: Value,
}

impl Done {
    /// Holds it to what a page may take.
    fn check(&self, page: &str) {
        eprintln!(
            "{:8.2} ms, {:6} rows looked at for {:3}: {page}",
            self.millis, self.looked_at, self.rows
        );
        let problem = if !self.whole_tables.is_empty() {
            format!("reads {:?}", self.whole_tables)
        } else if self.looked_at > LOOKED_AT_MAX {
            format!("looks at {} rows", self.looked_at)
        } else if self.millis > PAGE_MILLIS_MAX {
            format!("takes {} ms", self.millis)
        } else {
            return;
        };
        panic!("{page} {problem}: {:#}", self.plan);
    }

    fn add(&mut self, node: &Value) {
        let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
        let kind = node["Node Type"].as_str().unwrap_or_default();
        if kind.contains("Scan")
            && (node["Relation Name"].is_string() || node["Index Name"].is_string())
        {
            let rows = number("Actual Rows")
                + number("Rows Removed by Filter")
                + number("Rows Removed by Index Recheck");
            self.looked_at += rows * number("Actual Loops");
            let relation = node["Relation Name"].as_str().unwrap_or_default();
            // The others are small here.
            if kind == "Seq Scan" && relation.starts_with("visibility") {
                self.whole_tables.push(relation.to_owned());
            }
        }
        for inner in node["Plans"].as_array().into_iter().flatten() {
            self.add(inner);
        }
    }
}

/// Asks for a page of what a text finds; says what the server did for it, and where the next one begins, if there is one.
async fn explained(
    pool: &PgPool,
    declared: &Declared,
    text: &str,
    cursor: Option<&Cursor>,
) -> (Done, Option<Cursor>) {
    let attribute = |name: &str| {
        built_in_attribute(name).or_else(|| {
            Some(Attribute {
                name: name.to_owned(),
                ty: query::Type::from(declared.get(name)?.ty),
            })
        })
    };
    let query = query::parse(text, &attribute).unwrap_or_else(|error| panic!("{text}: {error}"));
    let order = Ordered::of(&query.order, declared).expect("it has an index");
    let of = Of {
        namespace: 1,
        declared,
        query: &query,
        order,
    };
    let mut fastest: Option<Done> = None;
    for _ in 0..TRIES {
        let mut sql = QueryBuilder::new("EXPLAIN (ANALYZE, FORMAT JSON) ");
        of.page(&mut sql, cursor, PAGE);
        let row = sql.build().persistent(false).fetch_one(pool).await;
        let plan: Value = row.unwrap_or_else(|error| panic!("{text}: {error}")).get(0);
        let mut done = Done {
            millis: plan[0]["Execution Time"].as_f64().unwrap(),
            rows: plan[0]["Plan"]["Actual Rows"].as_f64().unwrap(),
            plan: plan.clone(),
            ..Done::default()
        };
        done.add(&plan[0]["Plan"]);
        if fastest
            .as_ref()
            .is_none_or(|fastest| done.millis < fastest.millis)
        {
            fastest = Some(done);
        }
        if fastest
            .as_ref()
            .is_some_and(|fastest| fastest.millis < PAGE_MILLIS_MAX)
        {
            break;
        }
    }
    let mut sql = QueryBuilder::new("");
    of.page(&mut sql, cursor, PAGE);
    let rows = sql.build().persistent(false).fetch_all(pool).await;
    let rows = rows.unwrap_or_else(|error| panic!("{text}: {error}"));
    let full = usize::try_from(PAGE).is_ok_and(|page| rows.len() == page);
    let next = rows.last().filter(|_| full).map(|last| Cursor {
        list: Cursor::list(1, text),
        run_id: RunId(last.get("run_id")),
        value: last.get("ordered_by"),
    });
    (fastest.expect("it was asked for"), next)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shape_of_query_has_its_index_among_a_million_runs() {
    let address = database::fresh().await;
    fill(&address.pool(Pool::Whole)).await;
    let pool = address.pool(Pool::List);
    let declared = Namespaces::load(&pool).await.unwrap().attributes(1);
    let mut slowest = (0.0, "");
    for text in [
        "",
        "ExecutionStatus = 'Completed'",
        "ExecutionStatus = 'Failed'",
        "ExecutionStatus IN ('Failed', 'Terminated')",
        "ExecutionStatus != 'Completed'",
        "WorkflowType = 'order'",
        "WorkflowType = 'rare'",
        "WorkflowType = 'none'",
        "WorkflowType = 'order' AND ExecutionStatus = 'Failed'",
        "WorkflowType STARTS_WITH 'ra'",
        "WorkflowId = 'order-77'",
        "WorkflowId IN ('order-77', 'order-777777')",
        "WorkflowId STARTS_WITH 'order-7777'",
        "WorkflowId STARTS_WITH 'order-9'",
        "RunId = '01a1d40c-4c00-7000-8000-000000000001'",
        "TaskQueue = 'default'",
        "TaskQueue = 'gpu'",
        "ParentWorkflowId = 'order-500000'",
        "ParentWorkflowId IS NOT NULL",
        "RootWorkflowId = 'order-500000'",
        "StartTime BETWEEN '2026-11-18T18:00:00Z' AND '2026-11-18T18:10:00Z'",
        "StartTime < '2026-11-18T18:10:00Z'",
        "StartTime > '2026-11-18T18:00:00Z' AND WorkflowType = 'rare'",
        "CloseTime BETWEEN '2026-11-18T18:00:00Z' AND '2026-11-18T18:10:00Z'",
        "CloseTime IS NULL",
        "ORDER BY CloseTime DESC",
        "ExecutionStatus = 'Completed' ORDER BY CloseTime DESC",
        "CloseTime > '2026-11-18T18:00:00Z' ORDER BY CloseTime ASC",
        "ExecutionDuration > '2h'",
        "ExecutionDuration BETWEEN '10s' AND '11s'",
        "ORDER BY ExecutionDuration DESC",
        "ORDER BY WorkflowId",
        "ORDER BY WorkflowType",
        "ORDER BY TaskQueue DESC",
        "ORDER BY ExecutionStatus",
        "ORDER BY StartTime ASC",
        "Customer = 'c76'",
        "Customer = 'none'",
        "Customer IN ('c76', 'c80')",
        "Customer STARTS_WITH 'c1999'",
        "Customer IS NOT NULL",
        "Customer != 'c76'",
        "Env = 'production'",
        "Env = 'test'",
        "Env = 'test' AND Tags = 'u240'",
        "Env = 'production' AND ExecutionStatus = 'Completed' AND WorkflowType = 'order'",
        "Tags = 'u76'",
        "Tags IN ('u76', 'u80')",
        "Note = 'late'",
        "Note = 'word76 word77'",
        "Note = 'word76' AND Note = 'late'",
        "Count = 76",
        "Count BETWEEN 100 AND 110",
        "Count > 5000",
        "ORDER BY Count DESC",
        "Env = 'test' ORDER BY Count DESC",
        "ORDER BY Customer",
        "DueAt BETWEEN '2026-11-20T12:00:00Z' AND '2026-11-20T12:10:00Z'",
        "DueAt > '2026-11-18T12:00:00Z' ORDER BY DueAt ASC",
        "ExecutionStatus = 'Failed' OR WorkflowType = 'rare'",
    ] {
        let (first, next) = explained(&pool, &declared, text, None).await;
        let mut pages = vec![("first", first)];
        if let Some(next) = next {
            let (second, _) = explained(&pool, &declared, text, Some(&next)).await;
            pages.push(("second", second));
        }
        for (page, done) in pages {
            done.check(&format!("{page} page of {text}"));
            if done.millis > slowest.0 {
                slowest = (done.millis, text);
            }
        }
    }
    eprintln!("the slowest: {slowest:?}");
}
