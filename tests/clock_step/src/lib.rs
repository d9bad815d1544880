//! Moves the wall clock of a program that it is loaded before, and no other clock: the chaos run steps the clock with it.
//!
//! It stands in for `clock_gettime`. By how many seconds it moves the clock is read from a file `clock` beside the program, which
//! is mapped once, at the start: a program that later gives up files and system calls is moved on all the same, and its
//! environment does not matter. Without that file it changes nothing.
#![expect(unsafe_code, reason = "a function of the C library is replaced")]

use libc::{CLOCK_REALTIME, CLOCK_REALTIME_COARSE, c_int, c_long, clockid_t, timespec};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};

/// The file beside the program: seconds, eight octets in the machine's order.
const FILE: &str = "clock";
/// Length of the file.
const LENGTH: usize = size_of::<AtomicI64>();

/// The mapped file; null if there is none.
static STEP: AtomicPtr<AtomicI64> = AtomicPtr::new(null_mut());

/// Runs before the program does.
#[used]
// SAFETY: the dynamic linker calls what this section names, once, as a function of C without a result.
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = at_start;

/// Maps the file, if there is one.
extern "C" fn at_start() {
    let path =
        std::env::current_exe().unwrap_or_default().parent().map_or_else(PathBuf::new, |dir| dir.join(FILE));
    let Ok(file) = File::open(path) else { return };
    if !file.metadata().is_ok_and(|data| data.len() == u64::try_from(LENGTH).unwrap_or_default()) {
        return;
    }
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let mapped =
        unsafe { libc::mmap(null_mut(), LENGTH, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if mapped != libc::MAP_FAILED {
        STEP.store(mapped.cast(), Ordering::Release);
    }
}

/// The clock of the system, moved by the file if it is the wall clock.
///
/// # Safety
/// As for the function of the C library: `time` is null or points to a `timespec` that may be written.
// SAFETY: the name and the type are those of the C library's function, which this one does the work of.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: the kernel writes a `timespec` where the caller wants it, and refuses a bad address.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, c_long::from(clock), time) };
    let step = STEP.load(Ordering::Acquire);
    if result == 0 && !step.is_null() && matches!(clock, CLOCK_REALTIME | CLOCK_REALTIME_COARSE) {
        // SAFETY: the mapping is page-aligned, holds one `AtomicI64` and is never undone; the kernel has just written `time`.
        unsafe { (*time).tv_sec = (*time).tv_sec.saturating_add((*step).load(Ordering::Relaxed)) };
    }
    if result == 0 { 0 } else { -1 }
}
