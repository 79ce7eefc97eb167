//! The shortest sequences that expose a plausible but wrong shortcut of an implementation.

/// One row: a sequence in the notation of `model::sequence`, the last reply, and the end state.
pub struct Case {
    pub shortcut: &'static str,
    pub sequence: &'static str,
    /// The type of the last reply.
    pub kind: &'static str,
    /// The members of the last reply after `in_reply_to`.
    pub members: &'static str,
    pub counts: &'static str,
    /// `event_id/word/count` in acceptance order, or `-`.
    pub pending: &'static str,
    /// Every output ever released, in order, or `-`.
    pub log: &'static str,
}

impl Case {
    /// The last reply, if its request had this `msg_id`.
    pub fn reply_to(&self, msg_id: usize) -> String {
        format!(
            r#"{{"type": "{}", "in_reply_to": {msg_id}, {}}}"#,
            self.kind, self.members
        )
    }
}

pub const CASES: [Case; 9] = [
    Case {
        shortcut: "an index that keeps one position an id",
        sequence: "p e2 a; c c1; b; p e2 a; r c1; p e2 b",
        kind: "processed",
        members: r#""word": "b", "count": 0, "was_duplicate": true, "original_word": "a""#,
        counts: r#"{"a": 1}"#,
        pending: "e2/a/1",
        log: "-",
    },
    Case {
        shortcut: "looking only at the newest older position when accepting",
        sequence: "c c1; p e2 b; c c0; r c1; p e2 a; r c0; k; r c1; p e2 a; k",
        kind: "committed",
        members: r#""output_count": 0"#,
        counts: r#"{"a": 1}"#,
        pending: "-",
        log: "e2/b/1",
    },
    Case {
        shortcut: "comparing words when an id was released before",
        sequence: "c c1; p e2 b; k; r c1; p e2 a; k",
        kind: "committed",
        members: r#""output_count": 0"#,
        counts: r#"{"a": 1}"#,
        pending: "-",
        log: "e2/b/1",
    },
    Case {
        shortcut: "looking only at the newest position when restoring",
        sequence: "p e3 a; c c0; b; p e3 b; c c1; r c0; k; r c1; k",
        kind: "committed",
        members: r#""output_count": 0"#,
        counts: r#"{"b": 1}"#,
        pending: "-",
        log: "e3/a/1",
    },
    Case {
        shortcut: "rollback as a cut of the timeline at the last commit",
        sequence: "c c1; p e2 a; k; r c1; p e2 a; b",
        kind: "rolled_back",
        members: r#""discarded_count": 0"#,
        counts: r#"{"a": 1}"#,
        pending: "-",
        log: "e2/a/1",
    },
    Case {
        shortcut: "a commit that takes everything since the last one",
        sequence: "c c1; p e1 b; k; r c1; p e4 b; p e1 b; k",
        kind: "committed",
        members: r#""output_count": 1"#,
        counts: r#"{"b": 2}"#,
        pending: "-",
        log: "e1/b/1, e4/b/1",
    },
    Case {
        shortcut: "settled positions rebuilt from the commits at start",
        sequence: "c c1; p e2 a; k; r c1; p e2 a; x; k",
        kind: "committed",
        members: r#""output_count": 0"#,
        counts: r#"{"a": 1}"#,
        pending: "-",
        log: "e2/a/1",
    },
    Case {
        shortcut: "after a start, an index of the timeline only",
        sequence: "c c1; p e1 b; k; r c1; x; p e1 b; k",
        kind: "committed",
        members: r#""output_count": 0"#,
        counts: r#"{"b": 1}"#,
        pending: "-",
        log: "e1/b/1",
    },
    Case {
        shortcut: "a restore that discards what came later",
        sequence: "c c1; p e1 a; c c0; r c1; r c0; p e1 a",
        kind: "processed",
        members: r#""word": "a", "count": 1, "was_duplicate": true"#,
        counts: r#"{"a": 1}"#,
        pending: "e1/a/1",
        log: "-",
    },
];
