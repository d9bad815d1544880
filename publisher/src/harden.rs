//! What the publisher gives up before it reads any secret; the only place that changes the process's rights.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::set_no_new_privs;
use std::io;

/// A right that could not be given up.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {source}")]
pub struct HardenError {
    /// What was tried.
    what: &'static str,
    /// What the system says.
    source: io::Error,
}

/// Gives up core dumps, being traced or dumped, new privileges, and files that others may read.
///
/// # Errors
/// [`HardenError`] names the first thing that the system refuses.
pub fn harden() -> Result<(), HardenError> {
    let failed = |what| move |errno: rustix::io::Errno| HardenError { what, source: errno.into() };
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(failed("switch core dumps off"))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("become not dumpable"))?;
    set_no_new_privs(true).map_err(failed("give up new privileges"))?;
    let _earlier = rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_given_up() {
        harden().unwrap();
        assert_eq!(rustix::process::getrlimit(Resource::Core).maximum, Some(0));
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert!(rustix::thread::no_new_privs().unwrap());
    }
}
