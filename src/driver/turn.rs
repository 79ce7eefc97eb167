//! The turn of a caller of the pipeline.

use std::time::{Duration, Instant};

use crate::driver::shared::Shared;
use crate::driver::{Applied, OpenBatch, Ticket};
use crate::error::StorageError;
use crate::processor::Preparation;
use crate::request::Request;
use crate::store::{LowSpace, ReadPlan, Receipt};

/// The turn of a caller: no other caller applies anything meanwhile.
pub(crate) struct Turn<'a> {
    shared: &'a Shared,
    batch: OpenBatch<'a, Ticket>,
    receipt: &'a mut Receipt,
    waited: Duration,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        batch: OpenBatch<'a, Ticket>,
        receipt: &'a mut Receipt,
    ) -> Self {
        Self {
            shared,
            batch,
            receipt,
            waited: Duration::ZERO,
        }
    }

    /// How long the turn has waited for the persister.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    /// Same as [`OpenBatch::look_ahead`].
    pub(crate) fn look_ahead(&mut self, preparations: &mut [Preparation]) {
        self.batch.look_ahead(preparations);
    }

    /// Same as [`OpenBatch::apply_prepared`].
    pub(crate) fn apply_prepared(
        &mut self,
        preparation: &Preparation,
    ) -> Result<Option<Applied>, StorageError> {
        self.batch.apply_prepared(preparation)
    }

    /// Same as [`OpenBatch::apply`].
    pub(crate) fn apply(
        &mut self,
        request: &Request<'_>,
        preparation: &Preparation,
    ) -> Result<Applied, StorageError> {
        self.batch.apply(request, preparation, *self.receipt)
    }

    /// Same as [`OpenBatch::plan`].
    pub(crate) fn plan(
        &mut self,
        preparations: &[Preparation],
        plan: &mut ReadPlan,
    ) -> Result<usize, StorageError> {
        self.batch.plan(preparations, plan)
    }

    /// Same as [`OpenBatch::count`].
    pub(crate) fn count(&mut self, word: &str) {
        self.batch.count(word);
    }

    /// Same as [`OpenBatch::contains`].
    pub(crate) fn contains(&mut self, event_id: &str) -> Result<(), StorageError> {
        self.batch.contains(event_id)
    }

    /// Same as [`OpenBatch::end_part`].
    pub(crate) fn end_part(&mut self, ticket: Ticket, requests: usize) {
        self.batch.end_part(ticket, requests);
    }

    /// Ends the current group, and waits only while too many groups wait to be persisted.
    pub(crate) fn end_group(&mut self) -> Result<(), StorageError> {
        let group = self.batch.end_group()?;
        self.waiting(|shared| shared.push(group))
    }

    /// Ends the current group, and waits for the receipt of everything that was applied.
    pub(crate) fn persist(&mut self) -> Result<(), StorageError> {
        self.end_group()?;
        *self.receipt = self.waiting(Shared::wait_until_persisted)?;
        Ok(())
    }

    fn waiting<R>(&mut self, wait: impl FnOnce(&Shared) -> R) -> R {
        let started = Instant::now();
        let result = wait(self.shared);
        self.waited += started.elapsed();
        result
    }

    /// Same as [`OpenBatch::low_space`].
    pub(crate) fn low_space(&self) -> Option<LowSpace> {
        self.batch.low_space()
    }

    /// Number of outputs that were ever released, by everything that was applied.
    pub(crate) fn outputs(&self) -> u64 {
        self.batch.statistics().outputs
    }

    /// Updates the figures of the pipeline.
    pub(crate) fn set_figures(&self) {
        self.shared.figures.set(self.batch.statistics());
    }
}
