//! What may happen next, told as stories: see [`story`].

mod story;
mod telling;

mod start;
mod workflow_task;

mod activity;
mod activity_cancel;
mod activity_timeout;
mod child_workflow;
mod external;
mod signal;
mod timer;

mod buffered;
mod close;
mod limits;
mod next_run;
mod recovery;
mod requests;
mod reset;
mod search_attribute;

mod fuzz;
mod pairs;
mod random;
