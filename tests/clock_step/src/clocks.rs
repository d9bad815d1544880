//! The clocks: wall clocks are moved by step and speed, monotonic ones by the speed alone, processor time by nothing.

use libc::{
    CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME,
    CLOCK_REALTIME_COARSE, c_int, c_long, c_void, clockid_t, suseconds_t, time_t, timespec, timeval,
};

use crate::{Moved, moved};

/// Nanoseconds of a second.
pub(crate) const SECOND: i64 = 1_000_000_000;

/// What the system's own clock shows, with the result of the call.
fn asked(clock: clockid_t) -> (c_int, timespec) {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes a `timespec` into one of ours.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, c_long::from(clock), &raw mut time) };
    (if result == 0 { 0 } else { -1 }, time)
}

/// A moment in nanoseconds.
pub(crate) const fn nanoseconds(time: timespec) -> i64 {
    time.tv_sec.saturating_mul(SECOND).saturating_add(time.tv_nsec)
}

/// Nanoseconds as the C library wants them.
pub(crate) const fn timespec_of(nanoseconds: i64) -> timespec {
    timespec { tv_sec: nanoseconds.div_euclid(SECOND), tv_nsec: nanoseconds.rem_euclid(SECOND) }
}

/// By how many nanoseconds a clock is ahead now.
fn ahead(moved: &Moved, clock: clockid_t) -> i64 {
    use std::sync::atomic::Ordering::Relaxed;
    let by_speed = || {
        let pace = moved.pace();
        pace.ahead(nanoseconds(asked(CLOCK_MONOTONIC).1))
    };
    match clock {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE => {
            by_speed().saturating_add(moved.step.load(Relaxed).saturating_mul(SECOND))
        }
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_COARSE | CLOCK_MONOTONIC_RAW | CLOCK_BOOTTIME => by_speed(),
        _ => 0,
    }
}

/// What a clock shows to the program, with the result of the call.
pub(crate) fn shown(clock: clockid_t) -> (c_int, timespec) {
    let (result, time) = asked(clock);
    let by = moved().map_or(0, |moved| ahead(moved, clock));
    (result, if result == 0 && by != 0 { timespec_of(nanoseconds(time).saturating_add(by)) } else { time })
}

/// A clock of the system, moved.
///
/// # Safety
/// As for the function of the C library: `time` is null or points to a `timespec` that may be written.
// SAFETY: the name and the type are those of the C library's function, which this one does the work of.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    let (result, shown) = shown(clock);
    // SAFETY: the caller may be written to, or has given null.
    if let (0, Some(time)) = (result, unsafe { time.as_mut() }) {
        *time = shown;
    }
    result
}

/// The wall clock in microseconds.
///
/// # Safety
/// As for the function of the C library: `time` is null or points to a `timeval` that may be written.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut timeval, _zone: *mut c_void) -> c_int {
    let (result, shown) = shown(CLOCK_REALTIME);
    // SAFETY: the caller may be written to, or has given null.
    if let (0, Some(time)) = (result, unsafe { time.as_mut() }) {
        let microseconds: suseconds_t = shown.tv_nsec / 1000;
        *time = timeval { tv_sec: shown.tv_sec, tv_usec: microseconds };
    }
    result
}

/// The wall clock in seconds.
///
/// # Safety
/// As for the function of the C library: `place` is null or points to a `time_t` that may be written.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(place: *mut time_t) -> time_t {
    let (_result, shown) = shown(CLOCK_REALTIME);
    // SAFETY: the caller may be written to, or has given null.
    if let Some(place) = unsafe { place.as_mut() } {
        *place = shown.tv_sec;
    }
    shown.tv_sec
}
