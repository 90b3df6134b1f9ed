//! Why an attempt is to stop.

/// Why an attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelReason {
    /// The workflow asked for it, or nobody waits for the result any more.
    Requested,
    /// The worker leaves. What ends as canceled now, or is not done when the drain timeout is over, fails with an error of
    /// type `WorkerShutdown`, and another worker does it again.
    WorkerShutdown,
}
