//! Moves the clocks of a program that it is loaded before: the chaos run steps its wall clock with it, the distinguisher lets its days go by faster.
//!
//! It stands in for the C library's clocks and waits. What they are moved by is read from a file, which is mapped once, at the start: a program
//! that later gives up files and system calls is moved on all the same. The file is the one that the variable `ONIONKEEP_CLOCK`
//! names, else `clock` beside the program. Without it nothing is changed.
#![expect(unsafe_code, reason = "functions of the C library are replaced")]

pub mod clocks;
pub mod waits;

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};

/// Names the file.
const VARIABLE: &str = "ONIONKEEP_CLOCK";
/// The file beside the program.
const FILE: &str = "clock";
/// A reader that is disturbed so often takes what it has: whoever writes is not there to finish.
const PATIENCE: usize = 1_000_000;

/// The file: five numbers in the machine's order. All but the first are read between two looks at `writes`.
#[repr(C)]
struct Moved {
    /// By how many seconds the wall clock is ahead, besides what the speed has made of it.
    step: AtomicI64,
    /// Grows by one before and after each change: odd while it is being written.
    writes: AtomicI64,
    /// When the speed was last changed, in nanoseconds of the system's monotonic clock.
    since: AtomicI64,
    /// How far all clocks were ahead then, in nanoseconds.
    ahead: AtomicI64,
    /// How many seconds pass in one second of the system; below 2 it is one.
    speed: AtomicI64,
}

/// The mapped file; null if there is none.
static MOVED: AtomicPtr<Moved> = AtomicPtr::new(null_mut());

/// Runs before the program does.
#[used]
// SAFETY: the dynamic linker calls what this section names, once, as a function of C without a result.
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = at_start;

/// Maps the file, if there is one.
extern "C" fn at_start() {
    let beside = || {
        let program = std::env::current_exe().unwrap_or_default();
        program.parent().map_or_else(OsString::new, |dir| dir.join(FILE).into_os_string())
    };
    let path = PathBuf::from(std::env::var_os(VARIABLE).unwrap_or_else(beside));
    let Ok(file) = File::open(path) else { return };
    let length = size_of::<Moved>();
    if !file.metadata().is_ok_and(|data| data.len() == u64::try_from(length).unwrap_or_default()) {
        return;
    }
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let mapped =
        unsafe { libc::mmap(null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if mapped != libc::MAP_FAILED {
        MOVED.store(mapped.cast(), Ordering::Release);
    }
}

/// The file, if there is one.
fn moved() -> Option<&'static Moved> {
    let mapped = MOVED.load(Ordering::Acquire);
    // SAFETY: null, or a mapping that is page-aligned, holds one `Moved`, which is nothing but atomic numbers, and is never undone.
    unsafe { mapped.as_ref() }
}

/// How time passes now.
#[derive(Clone, Copy)]
struct Pace {
    /// [`Moved::since`].
    since: i64,
    /// [`Moved::ahead`].
    ahead: i64,
    /// [`Moved::speed`].
    speed: i64,
}

impl Moved {
    /// Numbers of one and the same change.
    fn pace(&self) -> Pace {
        let read = || Pace {
            since: self.since.load(Ordering::Acquire),
            ahead: self.ahead.load(Ordering::Acquire),
            speed: self.speed.load(Ordering::Acquire),
        };
        for _look in 0..PATIENCE {
            let before = self.writes.load(Ordering::Acquire);
            let pace = read();
            if before % 2 == 0 && before == self.writes.load(Ordering::Acquire) {
                return pace;
            }
            std::hint::spin_loop();
        }
        read()
    }
}

impl Pace {
    /// Whether time passes as it does everywhere.
    const fn is_plain(self) -> bool {
        self.speed < 2
    }

    /// By how many nanoseconds all clocks are ahead when the system's monotonic clock shows `now`.
    const fn ahead(self, now: i64) -> i64 {
        if self.is_plain() {
            return self.ahead;
        }
        let passed = now.saturating_sub(self.since);
        self.ahead.saturating_add(passed.saturating_mul(self.speed.saturating_sub(1)))
    }

    /// A wait of so many units as the system has to wait; never nothing where it was something.
    fn shortened(self, wait: i64) -> i64 {
        if self.is_plain() || wait <= 0 { wait } else { wait.div_euclid(self.speed).max(1) }
    }
}
