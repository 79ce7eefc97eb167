//! A walk along the journal that finds the branch of each milestone, and where branches part.
//!
//! The history is a tree of [`Stretch`]es. At any time the state is on one of them. A stretch ends
//! where two others part from it: one for the events that follow, and one that keeps the state for
//! a later restore or rollback.

use std::collections::BTreeMap;

use exactly_once::inspect::Milestone;

/// A part of a branch in which no branch parts.
#[derive(Debug)]
pub(super) struct Stretch {
    /// The stretch that it parts from; `None` for the first.
    pub(super) parent: Option<usize>,
    /// Its first and its last step.
    pub(super) first_step: usize,
    pub(super) last_step: usize,
    /// Its first and its last position in the journal.
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Something to draw.
#[derive(Debug)]
pub(super) struct Step {
    /// The head of the journal then.
    pub(super) position: u64,
    /// The stretch that it is on.
    pub(super) stretch: usize,
    pub(super) what: What,
    /// Where it leads, if it is a restore or a rollback.
    pub(super) landing: Option<Landing>,
}

/// What a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Milestone(Milestone),
    /// Branches part here, and there is no milestone.
    Parting,
}

/// Where a restore or a rollback leads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Landing {
    /// The last position of the state that it leads to.
    pub(super) reached: u64,
    /// The stretch on which the journal passed this position.
    pub(super) passed: usize,
    /// The stretch that kept the state.
    pub(super) kept: usize,
}

/// A part of a stretch that is drawn in one style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The number of a stretch; in a layout, that of a branch.
    pub(super) on: usize,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) kind: RunKind,
}

/// The style of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunKind {
    /// Events were accepted.
    Events,
    /// The state was elsewhere, and this one was kept for a later restore or rollback.
    Kept,
}

impl Run {
    fn is_followed_by(&self, next: &Self) -> bool {
        (self.on, self.kind, self.to) == (next.on, next.kind, next.from)
    }
}

/// A state that the walk has left and will come back to.
#[derive(Debug, Clone, Copy)]
struct Kept {
    stretch: usize,
    since: u64,
}

/// The steps, stretches and runs found so far, and the place of the walk.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) steps: Vec<Step>,
    pub(super) stretches: Vec<Stretch>,
    pub(super) runs: Vec<Run>,
    /// The head of the journal.
    pub(super) head: u64,
    /// The last position of the state, and the stretch that it is on.
    reached: u64,
    stretch: usize,
    /// Number of switches still to come, by the last position of the state that they lead to.
    to_come: BTreeMap<u64, usize>,
    /// The states that were left and that such a switch leads to, by their last positions.
    kept: BTreeMap<u64, Kept>,
    /// The stretches on which the journal passed the positions in `to_come`.
    passed: BTreeMap<u64, usize>,
}

impl Walk {
    /// Walks along milestones that are in order.
    pub(super) fn along(milestones: Vec<Milestone>) -> Self {
        let mut to_come = BTreeMap::new();
        for reached in milestones.iter().filter_map(led_to) {
            *to_come.entry(reached).or_default() += 1;
        }
        let root = Stretch {
            parent: None,
            first_step: 0,
            last_step: 0,
            from: 0,
            to: 0,
        };
        let mut walk = Self {
            steps: Vec::with_capacity(milestones.len()),
            stretches: vec![root],
            runs: Vec::new(),
            head: 0,
            reached: 0,
            stretch: 0,
            to_come,
            kept: BTreeMap::new(),
            passed: BTreeMap::from([(0, 0)]),
        };
        for milestone in milestones {
            let led_to = led_to(&milestone);
            walk.advance(position(&milestone));
            walk.add_step(What::Milestone(milestone));
            if let Some(reached) = led_to {
                walk.go_back(reached);
            }
        }
        walk
    }

    /// Follows the journal to a position.
    fn advance(&mut self, position: u64) {
        if position <= self.head {
            return;
        }
        self.part();
        let between = self.to_come.range(self.head + 1..position);
        let between: Vec<u64> = between.map(|(&point, _)| point).collect();
        for point in between {
            self.run_to(point);
            self.add_step(What::Parting);
            self.part();
        }
        self.run_to(position);
    }

    /// Splits the branch before new events, if a later switch goes back to the present state.
    fn part(&mut self) {
        if !self.is_come_back_to(self.reached) {
            return;
        }
        let is_on_a_step = self.steps.last().map(|step| step.stretch) == Some(self.stretch);
        if !is_on_a_step {
            self.add_step(What::Parting);
        }
        let kept = self.add_stretch();
        self.keep(kept);
        self.stretch = self.add_stretch();
    }

    /// Follows the journal to a position before which no branch parts.
    fn run_to(&mut self, position: u64) {
        let events = Run {
            on: self.stretch,
            from: self.head,
            to: position,
            kind: RunKind::Events,
        };
        match self.runs.last_mut() {
            Some(last) if last.is_followed_by(&events) => last.to = position,
            _ => self.runs.push(events),
        }
        self.head = position;
        self.reached = position;
        self.stretches[self.stretch].to = position;
        if self.to_come.contains_key(&position) {
            self.passed.insert(position, self.stretch);
        }
    }

    /// Makes an earlier state the present one; the last step is the switch that does so.
    fn go_back(&mut self, reached: u64) {
        if let Some(count) = self.to_come.get_mut(&reached) {
            *count -= 1;
        }
        let step = self.steps.len() - 1;
        if reached != self.reached {
            if self.is_come_back_to(self.reached) {
                self.keep(self.stretch);
            }
            let Kept { stretch, since } = self
                .kept
                .remove(&reached)
                .expect("a state that a switch leads to was kept when it was left");
            self.runs.push(Run {
                on: stretch,
                from: since,
                to: self.head,
                kind: RunKind::Kept,
            });
            self.stretches[stretch].to = self.head;
            self.stretches[stretch].last_step = step;
            self.stretch = stretch;
            self.reached = reached;
        }
        self.steps[step].landing = Some(Landing {
            reached,
            passed: self.passed[&reached],
            kept: self.stretch,
        });
    }

    fn is_come_back_to(&self, reached: u64) -> bool {
        self.to_come.get(&reached).is_some_and(|&count| count > 0)
    }

    /// Keeps the present state, on this stretch.
    fn keep(&mut self, stretch: usize) {
        let since = self.head;
        self.kept.insert(self.reached, Kept { stretch, since });
    }

    fn add_step(&mut self, what: What) {
        let step = self.steps.len();
        self.stretches[self.stretch].last_step = step;
        self.steps.push(Step {
            position: self.head,
            stretch: self.stretch,
            what,
            landing: None,
        });
    }

    /// Adds a stretch that parts from the present one at the last step.
    fn add_stretch(&mut self) -> usize {
        let step = self.steps.len() - 1;
        self.stretches.push(Stretch {
            parent: Some(self.stretch),
            first_step: step,
            last_step: step,
            from: self.head,
            to: self.head,
        });
        self.stretches.len() - 1
    }
}

/// The head of the journal when it happened.
fn position(milestone: &Milestone) -> u64 {
    match *milestone {
        Milestone::Checkpoint { position, .. }
        | Milestone::Commit { position, .. }
        | Milestone::Restore { position, .. }
        | Milestone::Rollback { position, .. }
        | Milestone::Present { position, .. } => position,
    }
}

/// The last position of the state that a restore or a rollback led to, at most the head, as no
/// state is ahead of the journal.
fn led_to(milestone: &Milestone) -> Option<u64> {
    match *milestone {
        Milestone::Restore {
            position, reached, ..
        }
        | Milestone::Rollback {
            position, reached, ..
        } => Some(reached.min(position)),
        _ => None,
    }
}
