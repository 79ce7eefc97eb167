//! A walk along the journal: which branch each milestone is on, and where branches part.
//!
//! The history is a tree of [`Stretch`]es. One of them is the state's at any time. A stretch ends
//! where two others part from it: the way on, and the state kept for a later restore or rollback.

use std::collections::BTreeMap;

use exactly_once::inspect::Milestone;

/// A part of a branch without a parting in it.
#[derive(Debug)]
pub(super) struct Stretch {
    /// The stretch that it parted from; all but the first have one.
    pub(super) parent: Option<usize>,
    /// The steps that it is there at.
    pub(super) first_step: usize,
    pub(super) last_step: usize,
    /// The positions of the journal that it goes along.
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Something to draw.
#[derive(Debug)]
pub(super) struct Step {
    /// The journal's last position then.
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
    /// Branches part here, and nothing else is known of this point.
    Parting,
}

/// Where a restore or a rollback leads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Landing {
    /// The last position of the state there.
    pub(super) reached: u64,
    /// The stretch on which the journal passed this position.
    pub(super) passed: usize,
    /// The stretch on which the state was kept.
    pub(super) kept: usize,
}

/// A part of the journal along which a stretch is drawn in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// A stretch here; a branch in a layout.
    pub(super) on: usize,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) kind: RunKind,
}

/// How a stretch is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunKind {
    /// Events came.
    Events,
    /// The state was another one, and this one could be gone back to.
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

/// What was found on the way.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) steps: Vec<Step>,
    pub(super) stretches: Vec<Stretch>,
    pub(super) runs: Vec<Run>,
    /// The journal's last position.
    pub(super) head: u64,
    /// The last position of the state, and the stretch that it is on.
    reached: u64,
    stretch: usize,
    /// By the last position of the state that they lead to: how many moves are still to come.
    to_come: BTreeMap<u64, usize>,
    /// By its last position: each state that was left and that such a move leads to.
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

    /// Leaves the present state for events to come: if it will be come back to, the way parts.
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

    /// Follows the journal to a position, where no way parts before it.
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

    /// Makes an earlier state the present one; the last step is the move that does so.
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
                .expect("a state that a move leads to was kept when it was left");
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

    /// Lets a stretch part from the present one at the last step.
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

/// The journal's last position when it happened.
fn position(milestone: &Milestone) -> u64 {
    match *milestone {
        Milestone::Checkpoint { position, .. }
        | Milestone::Commit { position, .. }
        | Milestone::Restore { position, .. }
        | Milestone::Rollback { position, .. }
        | Milestone::Present { position, .. } => position,
    }
}

/// The last position of the state that a restore or a rollback led to. No state is ahead of the
/// journal.
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
