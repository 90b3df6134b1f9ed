//! What the owner knows. Each file is a structure of its own and knows no owner; what is done with them is in the files beside.

pub(crate) mod attempts;
pub(crate) mod backlog;
pub(crate) mod borrowed;
pub(crate) mod deliveries;
pub(crate) mod demands;
pub(crate) mod facts;
pub(crate) mod histories;
pub(crate) mod lent;
pub(crate) mod link;
pub(crate) mod loading;
pub(crate) mod matching;
pub(crate) mod memory;
pub(crate) mod origin;
pub(crate) mod parked;
pub(crate) mod queues;
pub(crate) mod reading;
pub(crate) mod run;
pub(crate) mod session;
pub(crate) mod shards;
pub(crate) mod slots;
pub(crate) mod tail;
pub(crate) mod task_place;
pub(crate) mod waiters;
pub(crate) mod wake;
pub(crate) mod writing;
