//! The only place where the harness waits: for a state, with a deadline, never for a fixed time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

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
    fn a_state_that_never_comes_is_an_error_that_names_it_and_the_last_sight() {
        let error = until::<()>("rain", Duration::from_millis(60), || Ok(Seen::NotYet("blue sky".into())))
            .unwrap_err();
        assert!(error.to_string().contains("rain") && error.to_string().contains("blue sky"), "{error}");
    }
}
