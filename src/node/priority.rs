//! Leaving the processors to those who are in a hurry.

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Gives the calling thread only the time that others leave, for good.
///
/// It is of the policy for what may wait (`SCHED_IDLE`): a processor that does nothing else counts
/// as free, and whoever becomes ready there goes on at once. Of the lowest priority alone it would
/// finish its turn first, and the threads of a busy node would share the other processor.
pub fn yield_to_others() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let yielded = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
    // Where that cannot be, it is as quick as the others.
    yielded.unwrap_or_default();
}
