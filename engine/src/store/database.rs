//! Databases for tests.

use uuid::Uuid;

use super::{
    connect::Address,
    fit, migrate,
    session::{Pool, Purpose, Session},
};

/// Returns a database of a test's own, with the schema.
pub(crate) async fn fresh() -> Address {
    let server = std::env::var("COREASON_TEST_DATABASE_URL")
        .expect("./test sets COREASON_TEST_DATABASE_URL");
    let name = format!("test_{}", Uuid::new_v4().simple());
    let client = Address::find(&server).await.unwrap();
    let client = client
        .client(Session::Pooled(Pool::Whole), Purpose::Pooled(Pool::Whole))
        .await
        .unwrap();
    let create = format!("CREATE DATABASE {name}");
    client.batch_execute(&create).await.unwrap();
    let (base, query) = server.split_once('?').unwrap_or((&server, ""));
    let (base, _) = base.rsplit_once('/').unwrap();
    let address = Address::find(&format!("{base}/{name}?{query}"))
        .await
        .unwrap();
    let pool = fit::pool(&address).await.unwrap();
    migrate::migrate(&pool).await.unwrap();
    address
}
