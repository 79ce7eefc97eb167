//! A low priority for threads whose work can wait.

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Gives the calling thread only the CPU time that other threads leave, until it ends.
///
/// The policy is `SCHED_IDLE`: a CPU that runs only such threads counts as idle, and any other
/// thread that becomes ready there runs at once. With the lowest priority alone this thread would
/// finish its time slice first, and the threads of a busy node would share the other CPU.
pub fn yield_to_others() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let yielded = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
    // If that fails, the thread keeps its priority.
    yielded.unwrap_or_default();
}
