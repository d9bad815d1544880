//! The waits: where time passes faster, the system is asked to wait for less.
//!
//! Only the waits that tor, our programs and Python's main loop use. Waits for a lock with a deadline are not among them: they take longer.
//! The system calls are those that the C library makes, because the signer allows itself no others.

use libc::{
    CLOCK_MONOTONIC, TIMER_ABSTIME, c_int, c_long, clockid_t, epoll_event, fd_set, nfds_t, pollfd, sigset_t,
    timespec, timeval,
};
use std::ptr::{null, null_mut};

use crate::clocks::{nanoseconds, shown, timespec_of};
use crate::moved;

/// A wait of so many units, any unit, as the system has to wait.
fn shortened(wait: i64) -> i64 {
    moved().map_or(wait, |moved| moved.pace().shortened(wait))
}

/// Milliseconds of a poll.
fn poll_timeout(milliseconds: c_int) -> c_int {
    c_int::try_from(shortened(i64::from(milliseconds))).unwrap_or(milliseconds)
}

/// The result of a system call as the C library gives it.
fn result(raw: c_long) -> c_int {
    c_int::try_from(raw).unwrap_or(-1)
}

/// Octets of the kernel's set of signals.
const SIGNALS: usize = 8;

/// Waits for events.
///
/// # Safety
/// As for the function of the C library.
// SAFETY: the name and the type are those of the C library's function, which this one does the work of.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_wait(
    queue: c_int,
    events: *mut epoll_event,
    most: c_int,
    milliseconds: c_int,
) -> c_int {
    #[cfg(target_arch = "x86_64")]
    {
        let wait = poll_timeout(milliseconds);
        // SAFETY: the kernel checks what the caller has given.
        result(unsafe { libc::syscall(libc::SYS_epoll_wait, queue, events, most, wait) })
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: what the caller vouches for.
    unsafe {
        epoll_pwait(queue, events, most, milliseconds, null())
    }
}

/// Waits for events, with other signals.
///
/// # Safety
/// As for the function of the C library.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait(
    queue: c_int,
    events: *mut epoll_event,
    most: c_int,
    milliseconds: c_int,
    signals: *const sigset_t,
) -> c_int {
    let wait = poll_timeout(milliseconds);
    // SAFETY: the kernel checks what the caller has given.
    result(unsafe { libc::syscall(libc::SYS_epoll_pwait, queue, events, most, wait, signals, SIGNALS) })
}

/// Waits for descriptors.
///
/// # Safety
/// As for the function of the C library.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poll(list: *mut pollfd, count: nfds_t, milliseconds: c_int) -> c_int {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: the kernel checks what the caller has given.
        result(unsafe { libc::syscall(libc::SYS_poll, list, count, poll_timeout(milliseconds)) })
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let mut wait = timespec_of(i64::from(poll_timeout(milliseconds)).saturating_mul(1_000_000));
        let limit = if milliseconds < 0 { null_mut() } else { &raw mut wait };
        // SAFETY: the kernel checks what the caller has given; the limit is ours.
        result(unsafe { libc::syscall(libc::SYS_ppoll, list, count, limit, null::<sigset_t>(), SIGNALS) })
    }
}

/// Waits for descriptors in sets; what is left of the time is not told.
///
/// # Safety
/// As for the function of the C library.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn select(
    count: c_int,
    readable: *mut fd_set,
    writable: *mut fd_set,
    odd: *mut fd_set,
    limit: *mut timeval,
) -> c_int {
    // SAFETY: null, or what the caller vouches for.
    let given = unsafe { limit.as_ref() }
        .map(|limit| limit.tv_sec.saturating_mul(1_000_000).saturating_add(limit.tv_usec));
    let mut wait = given.map(|microseconds| timespec_of(shortened(microseconds).saturating_mul(1000)));
    let limit = wait.as_mut().map_or(null_mut(), |wait| &raw mut *wait);
    let call = libc::SYS_pselect6;
    // SAFETY: the kernel checks what the caller has given; the limit is ours.
    result(unsafe { libc::syscall(call, count, readable, writable, odd, limit, null::<sigset_t>()) })
}

/// Sleeps. A sleep that a signal ends tells that all of it is left.
///
/// # Safety
/// As for the function of the C library.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nanosleep(wanted: *const timespec, left: *mut timespec) -> c_int {
    // SAFETY: what the caller vouches for.
    let error = unsafe { clock_nanosleep(CLOCK_MONOTONIC, 0, wanted, left) };
    if error == 0 {
        return 0;
    }
    // SAFETY: the place of this thread's error is always there.
    unsafe { *libc::__errno_location() = error };
    -1
}

/// Sleeps by a clock, for a time or until a moment; returns the error.
///
/// # Safety
/// As for the function of the C library.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    wanted: *const timespec,
    left: *mut timespec,
) -> c_int {
    // SAFETY: null, or what the caller vouches for.
    let Some(wanted) = (unsafe { wanted.as_ref() }) else { return libc::EFAULT };
    let now = if flags & TIMER_ABSTIME == 0 { 0 } else { nanoseconds(shown(clock).1) };
    let wait = timespec_of(shortened(nanoseconds(*wanted).saturating_sub(now)).max(0));
    let call = libc::SYS_clock_nanosleep;
    // SAFETY: the request is ours, and nothing is written about what is left of it.
    let raw = unsafe { libc::syscall(call, CLOCK_MONOTONIC, 0, &raw const wait, null_mut::<timespec>()) };
    if raw == 0 {
        return 0;
    }
    // SAFETY: null, or what the caller vouches for.
    if let Some(left) = unsafe { left.as_mut() } {
        *left = *wanted;
    }
    // SAFETY: the place of this thread's error is always there.
    unsafe { *libc::__errno_location() }
}
