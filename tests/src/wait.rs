//! The only place where the harness waits: for a state, with a deadline, never for a fixed time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::clock;

/// Full hours, UTC: the expiry of a certificate changes, so that the same request gets another one.
pub const HOUR: u64 = 3600;
/// Noon and midnight, UTC: a period ends at noon, and a run of the shared random protocol at midnight.
pub const HALF_DAY: u64 = 12 * HOUR;

/// How often a state is looked at.
const POLL: Duration = Duration::from_millis(50);

/// What a look at a state found.
pub enum Seen<T> {
    /// It is there.
    Ready(T),
    /// Not yet, and why; the text ends up in the error when the deadline passes.
    NotYet(String),
    /// It will never come, and why; the wait ends at once.
    Hopeless(String),
}

/// Looks until `probe` says [`Seen::Ready`]; an `Err` counts as "not yet", because what we wait for may be starting.
pub fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<Seen<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        let last = match probe() {
            Ok(Seen::Ready(value)) => return Ok(value),
            Ok(Seen::NotYet(why)) => why,
            Ok(Seen::Hopeless(why)) => bail!("waited for {what}, which will not come: {why}"),
            Err(error) => format!("{error:#}"),
        };
        if start.elapsed() >= limit {
            bail!("waited {} s in vain for {what}; last seen: {last}", limit.as_secs());
        }
        thread::sleep(POLL);
    }
}

/// [`until`] for a yes-or-no state.
pub fn until_true(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<bool>) -> Result<()> {
    until(what, limit, || Ok(if probe()? { Seen::Ready(()) } else { Seen::NotYet("not so yet".into()) }))
}

/// Lets a border of the wall clock, a multiple of `every` seconds, pass that is less than `margin` seconds away, so that a test
/// of that length does not meet it.
pub fn clear_of(every: u64, margin: u64) {
    let what = format!("a border of {every} s");
    let past = || Ok(to_border(clock::unix_now(), every) > margin);
    until_true(&what, Duration::from_secs(margin + 5), past).expect("a wall clock that goes on");
}

/// Seconds until the first second after a border: what is rounded up changes only with it.
const fn to_border(now: u64, every: u64) -> u64 {
    every - now.saturating_sub(1) % every
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_comes_is_returned() {
        let mut looks = 0;
        let seen = until("the third look", Duration::from_secs(5), || {
            looks += 1;
            Ok(if looks == 3 { Seen::Ready(looks) } else { Seen::NotYet("early".into()) })
        });
        assert_eq!(seen.unwrap(), 3);
    }

    #[test]
    fn a_border_is_over_only_with_the_second_after_it() {
        let seconds = [HOUR - 59, HOUR - 1, HOUR, HOUR + 1, HOUR + 2].map(|now| to_border(now, HOUR));
        assert_eq!(seconds, [60, 2, 1, HOUR, HOUR - 1]);
    }

    #[test]
    fn a_state_that_never_comes_is_an_error_that_names_it_and_the_last_sight() {
        let error = until::<()>("rain", Duration::from_millis(60), || Ok(Seen::NotYet("blue sky".into())))
            .unwrap_err();
        assert!(error.to_string().contains("rain") && error.to_string().contains("blue sky"), "{error}");
    }
}
