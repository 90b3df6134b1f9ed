//! A disk that takes its time for each flush.

use std::time::{Duration, Instant};

use engine::Role;

use crate::{
    ledger::Ledger,
    proxy::{Action, COMMITTED, Proxy},
    support::*,
};

#[tokio::test(flavor = "multi_thread")]
async fn batches_grow_with_the_time_that_a_commit_takes() {
    const FLUSH: Duration = Duration::from_millis(50);
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    work(&engine, sequence(3), echo());
    let _slow = proxy.always(COMMITTED, Action::Delay(FLUSH));
    let ledger = Ledger::default();
    let since = Instant::now();
    ledger.run_many(&engine, 200, 3).await;
    let took = since.elapsed();
    let batches = number(&url, "SELECT count(*) FROM feed").await;
    let rows = number(&url, "SELECT count(*) FROM history").await;
    assert!(batches <= rows / 10, "{batches} batches for {rows} rows");
    assert!(took < FLUSH * 40, "{took:?}, as if one after the other");
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    ledger.check(&url).await;
}
