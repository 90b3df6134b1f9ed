//! After a failover of which it knows nothing a server may take writes that was replaced. Of two such servers this process speaks to one:
//! the latest of which it knows.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{limits::PING_TIMEOUT, store::Error};

/// What a server answers to the question for its [`Time`]: the system identifier, and the timeline unless it is a standby, which writes
/// nothing of which there could be a place.
pub(in crate::store) const TIME: &str = "SELECT system_identifier,
           CASE WHEN NOT pg_is_in_recovery()
                THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END
    FROM pg_control_system()";

/// Which database a server has, and which time of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Time {
    /// The number that a cluster gets when it is made; copies of it have the same.
    pub(in crate::store) system: i64,
    /// Grows when a standby is promoted, or a backup restored to some moment.
    pub(in crate::store) timeline: i64,
}

/// The latest one that a session has met.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Latest(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    time: Option<Time>,
    /// How often another one took its place, and when the last one did.
    failovers: u64,
    failed_over_at: Option<Instant>,
}

impl Latest {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the one that a session meets. Says whether it will do: one that was replaced does not.
    pub(in crate::store) fn meet(&self, met: Time) -> bool {
        let mut state = self.state();
        let Some(known) = state.time.replace(met) else {
            return true;
        };
        let replaced = met.system == known.system && met.timeline < known.timeline;
        if replaced {
            state.time = Some(known);
        } else if met != known {
            state.failovers += 1;
            state.failed_over_at = Some(Instant::now());
        }
        !replaced
    }

    /// Begins to look whether another one comes.
    pub(in crate::store) fn begin(&self) -> Since {
        Since {
            failovers: self.state().failovers,
            latest: self.clone(),
        }
    }

    /// Says whether another one came while a connection of this age was there, or was being opened.
    pub(in crate::store) fn came_within(&self, age: Duration) -> bool {
        let came_at = self.state().failed_over_at;
        came_at.is_some_and(|came_at| came_at.elapsed() <= age.saturating_add(PING_TIMEOUT))
    }
}

/// A moment. What was opened after it speaks to the server that was the latest then, or to a later one.
#[derive(Debug)]
pub(in crate::store) struct Since {
    latest: Latest,
    failovers: u64,
}

impl Since {
    /// # Errors
    /// [`Error::FailedOver`] when a session has met another server or time since.
    pub(in crate::store) fn check(&self) -> Result<(), Error> {
        if self.latest.state().failovers == self.failovers {
            Ok(())
        } else {
            Err(Error::FailedOver)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(system: i64, timeline: i64) -> Time {
        Time { system, timeline }
    }

    #[test]
    fn a_server_that_was_replaced_will_not_do_and_what_was_opened_there_is_told() {
        let latest = Latest::default();
        assert!(latest.meet(time(7, 1)));
        let since = latest.begin();
        assert!(latest.meet(time(7, 1)));
        since.check().unwrap();

        assert!(latest.meet(time(7, 2)));
        assert!(!latest.meet(time(7, 1)));

        assert!(matches!(since.check(), Err(Error::FailedOver)));
        assert!(latest.came_within(Duration::MAX));
        latest.begin().check().unwrap();
    }

    #[test]
    fn another_database_counts_as_a_later_one() {
        let latest = Latest::default();
        latest.meet(time(7, 3));
        let since = latest.begin();
        assert!(latest.meet(time(8, 1)));
        assert!(since.check().is_err());
    }
}
