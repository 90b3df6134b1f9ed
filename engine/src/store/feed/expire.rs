//! Deletes old rows of the table `feed`.

use sqlx::PgConnection;

use crate::{
    limits::{FEED_EXPIRED_AT_ONCE, FEED_KEPT, FEED_KEPT_UNREAD},
    store::{Error, interval},
};

/// Deletes what is older than [`FEED_KEPT`] and read by all consumers, or older than [`FEED_KEPT_UNREAD`], at most [`FEED_EXPIRED_AT_ONCE`]
/// rows, unless another process is about it. Says whether there may be more.
pub(crate) async fn expire(connection: &mut PgConnection) -> Result<bool, Error> {
    let deleted = sqlx::query_scalar!(
        "SELECT expire_feed($1, $2, $3)",
        interval(FEED_KEPT),
        interval(FEED_KEPT_UNREAD),
        FEED_EXPIRED_AT_ONCE
    )
    .fetch_one(connection)
    .await?;
    Ok(deleted.is_some_and(|deleted| deleted >= i64::from(FEED_EXPIRED_AT_ONCE)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::Connection as _;
    use uuid::Uuid;

    use super::{
        super::{
            super::{
                database,
                session::{Pool, Purpose, Session},
            },
            Cursor, Source as _,
        },
        *,
    };

    /// How many batches there are between two times that old ones are deleted.
    const STEP: i64 = 1000;

    /// Returns how many pages of the table and its index this transaction has looked at.
    async fn looked_at(connection: &mut PgConnection) -> i64 {
        sqlx::query_scalar(
            "SELECT pg_stat_get_xact_blocks_fetched('feed'::regclass) + pg_stat_get_xact_blocks_fetched('feed_pkey'::regclass)",
        )
        .fetch_one(connection)
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn old_batches_are_deleted_at_the_same_cost_while_somebody_holds_a_snapshot() {
        let address = database::fresh().await;
        let mut connection = address
            .session(Session::Fate(Uuid::nil(), 0))
            .await
            .unwrap();
        let reader = address
            .client(Session::Fate(Uuid::nil(), 0), Purpose::Lock)
            .await
            .unwrap();
        reader
            .batch_execute(
                "SET idle_in_transaction_session_timeout = 0;
                 BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM feed",
            )
            .await
            .unwrap();
        let writer = address
            .client(Session::Fate(Uuid::nil(), 0), Purpose::Lock)
            .await
            .unwrap();
        writer
            .batch_execute("INSERT INTO member VALUES (gen_random_uuid(), '', 1, now(), now())")
            .await
            .unwrap();
        let mut costs = Vec::new();
        for n in 0..20 {
            let (from, to) = (n * STEP + 1, (n + 1) * STEP);
            writer
                .batch_execute(&format!(
                    "INSERT INTO feed (epoch, slot, batch, at) SELECT 1, 0, generate_series({from}, {to}), now() - interval '1 day'"
                ))
                .await
                .unwrap();
            let mut transaction = connection.begin().await.unwrap();
            let before = looked_at(&mut transaction).await;
            expire(&mut transaction).await.unwrap();
            costs.push(looked_at(&mut transaction).await - before);
            transaction.commit().await.unwrap();
        }
        let (first, last) = (costs[1], costs[costs.len() - 1]);
        assert!(last < first + first / 2, "{costs:?}");
        let left = writer
            .query_one("SELECT min(batch), max(batch) FROM feed", &[])
            .await
            .unwrap();
        assert_eq!((left.get(0), left.get(1)), (20 * STEP, 20 * STEP));
        tokio::time::timeout(Duration::from_secs(20), reader.batch_execute("COMMIT"))
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn who_has_not_read_what_was_deleted_hears_so() {
        let address = database::fresh().await;
        let pool = address.pool(Pool::Read);
        sqlx::raw_sql(
            "UPDATE cluster SET epoch = 2;
             INSERT INTO member VALUES (gen_random_uuid(), '', 2, now(), now());
             INSERT INTO former_member VALUES (gen_random_uuid(), 1, '{3, 0, 0, 0, 0, 0, 0, 0}');
             INSERT INTO feed (epoch, slot, batch) VALUES (1, 0, 1), (1, 0, 3), (2, 0, 1), (2, 1, 1), (2, 0, 2)",
        )
        .execute(&pool)
        .await
        .unwrap();
        let beginning = Cursor::default();
        let page = |cursor, most| {
            let pool = pool.clone();
            async move { pool.after(&cursor, most).await.unwrap() }
        };
        let mut half_read = beginning.clone();
        half_read.turn(&page(beginning.clone(), 3).await.unwrap());
        let mut read = half_read.clone();
        read.turn(&page(half_read.clone(), 3).await.unwrap());
        assert_eq!(read, pool.end().await.unwrap());

        sqlx::raw_sql("UPDATE feed SET at = now() - interval '1 day' WHERE position <= 4")
            .execute(&pool)
            .await
            .unwrap();
        expire(&mut pool.acquire().await.unwrap()).await.unwrap();

        let left = sqlx::query_scalar::<_, i64>("SELECT position FROM feed ORDER BY 1");
        let left = left.fetch_all(&pool).await.unwrap();
        assert_eq!(
            left,
            [4, 5],
            "the last batch of a member stays, however old it is"
        );
        assert!(page(beginning, 3).await.is_none());
        let rest = page(half_read, 3)
            .await
            .expect("nothing that it has not read is gone");
        assert_eq!(rest.batches.len(), 2);
        assert!(page(read, 3).await.unwrap().batches.is_empty());
    }

    #[tokio::test]
    async fn a_cursor_that_has_read_more_than_there_is_is_of_another_time() {
        let address = database::fresh().await;
        let pool = address.pool(Pool::Read);
        sqlx::raw_sql(
            "UPDATE cluster SET epoch = 1;
             INSERT INTO member VALUES ('00000007-0000-4000-8000-000000000000', '', 1, now(), now());
             INSERT INTO feed (epoch, slot, batch) VALUES (1, 0, 5)",
        )
        .execute(&pool)
        .await
        .unwrap();
        for (cursor, is_of_this_time) in [
            ("1-7_1-0-5", true),
            ("1-7_1-0-4", true),
            ("1-7_1-0-6", false),
            ("1-7_1-1-1", false),
            ("2-7_1-0-5", false),
            ("1-7_0-0-5", false),
        ] {
            let page = pool.after(&cursor.parse().unwrap(), 10).await.unwrap();
            assert_eq!(page.is_some(), is_of_this_time, "{cursor}");
        }
    }

    #[tokio::test]
    async fn a_cursor_that_knows_a_member_whose_join_was_lost_is_of_another_time() {
        let address = database::fresh().await;
        let pool = address.pool(Pool::Read);
        let joins = "UPDATE cluster SET epoch = 1; DELETE FROM member; DELETE FROM feed;
                     INSERT INTO member VALUES (gen_random_uuid(), '', 1, now(), now());
                     INSERT INTO feed (epoch, slot, batch) VALUES (1, 0, 5), (1, 0, 6)";
        sqlx::raw_sql(joins).execute(&pool).await.unwrap();
        let cursor = pool.end().await.unwrap();
        assert!(pool.after(&cursor, 10).await.unwrap().is_some());
        // The database was restored to a moment before that, and another one has joined and committed as much.
        sqlx::raw_sql(joins).execute(&pool).await.unwrap();
        assert!(pool.after(&cursor, 10).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_those_have_left_whom_nobody_remembers_is_deleted_in_small_steps() {
        let address = database::fresh().await;
        let pool = address.pool(Pool::Read);
        sqlx::raw_sql(
            "UPDATE cluster SET epoch = 5;
             INSERT INTO member VALUES (gen_random_uuid(), '', 2, now(), now());
             INSERT INTO former_member VALUES (gen_random_uuid(), 4, '{1, 0, 0, 0, 0, 0, 0, 0}');
             INSERT INTO feed_expired VALUES (3, 0, 1);
             INSERT INTO feed (epoch, slot, batch) SELECT e, 0, b FROM generate_series(1, 5) e, generate_series(1, 10) b",
        )
        .execute(&pool)
        .await
        .unwrap();
        let mut calls = 0;
        let left = loop {
            let deleted = sqlx::query_scalar::<_, i64>("SELECT expire_feed('1 hour', '1 hour', 7)");
            let deleted = deleted.fetch_one(&pool).await.unwrap();
            assert!(deleted <= 7, "{deleted}");
            if deleted == 0 {
                let left =
                    sqlx::query_scalar::<_, i64>("SELECT DISTINCT epoch FROM feed ORDER BY 1");
                break left.fetch_all(&pool).await.unwrap();
            }
            calls += 1;
        };
        assert_eq!((left, calls), (vec![2, 4], 5));
        let noted = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM feed_expired");
        assert_eq!(noted.fetch_one(&pool).await.unwrap(), 0);
    }
}
