//! How many tasks a worker takes.

use history::task::WorkerHello;

use crate::words::Kind;

/// How many tasks of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Slots {
    workflow: u32,
    activity: u32,
}

impl Slots {
    pub(crate) fn all(hello: &WorkerHello) -> Self {
        Self {
            workflow: hello.workflow_slots,
            activity: hello.activity_slots,
        }
    }

    pub(crate) fn of(self, kind: Kind) -> u32 {
        match kind {
            Kind::Workflow => self.workflow,
            Kind::Activity => self.activity,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::Workflow => &mut self.workflow,
            Kind::Activity => &mut self.activity,
        }
    }

    pub(crate) fn add(&mut self, kind: Kind, slots: u32) {
        let of = self.of_mut(kind);
        *of = of.saturating_add(slots);
    }

    /// Takes so many, or what there is; returns how many.
    pub(crate) fn take(&mut self, kind: Kind, slots: u32) -> u32 {
        let of = self.of_mut(kind);
        let taken = slots.min(*of);
        *of -= taken;
        taken
    }
}
