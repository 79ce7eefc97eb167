//! A library for `LD_PRELOAD` whose wall clock jumps by years each time it is read.
//!
//! It is no module of the tests, which have no unsafe code: `preload.rs` compiles it. Clocks that
//! count from the start of the machine stay right.

#[path = "../kit/preload/base.rs"]
pub mod base;

use base::real;
use std::ffi::{c_int, c_long};
use std::sync::atomic::{AtomicUsize, Ordering};

const CLOCK_REALTIME: c_int = 0;
const CLOCK_REALTIME_COARSE: c_int = 5;
const YEAR: i64 = 31_556_952;
/// The error of the clock in years, in turn.
const WRONG_BY: [i64; 6] = [0, 200, -100, 1, -1, -40];

#[repr(C)]
pub struct Time {
    seconds: i64,
    nanoseconds: c_long,
}

type GetTime = unsafe extern "C" fn(c_int, *mut Time) -> c_int;

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Time) -> c_int {
    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    let result = unsafe { real!(c"clock_gettime" as GetTime)(clock, time) };
    if result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) {
        let look = LOOKS.fetch_add(1, Ordering::Relaxed);
        let wrong_by = WRONG_BY[look % WRONG_BY.len()] * YEAR;
        unsafe { (*time).seconds += wrong_by };
    }
    result
}
