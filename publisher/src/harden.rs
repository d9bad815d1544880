//! What the publisher gives up before it reads any secret, and the open files that it asks for; the only place that changes the process's rights.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::set_no_new_privs;
use std::io;

/// So many files may be open at the same time, if the system lets them: most systems begin with 1,024 and let a program have more. A connection
/// to a signer for each of thousands of services fits, beside all others.
const OPEN_FILES: u64 = 16_384;

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

/// Asks for more open files than most systems begin with. If that is refused, all is as it was: nothing depends on it but how much can happen at
/// the same time.
pub fn open_more_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Some(more) = more_files(&limit) {
        let _refused = setrlimit(Resource::Nofile, Rlimit { current: Some(more), ..limit });
    }
}

/// How many open files to ask for, if that is more than there may be now. No limit is `None`.
fn more_files(limit: &Rlimit) -> Option<u64> {
    let more = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    limit.current.is_some_and(|current| current < more).then_some(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_given_up() {
        harden().unwrap();
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert!(rustix::thread::no_new_privs().unwrap());
    }

    #[test]
    fn more_files_are_asked_for_and_never_fewer() {
        let limit = |current, maximum| Rlimit { current, maximum };
        assert_eq!(more_files(&limit(Some(1024), Some(524_288))), Some(OPEN_FILES));
        assert_eq!(more_files(&limit(Some(1024), None)), Some(OPEN_FILES));
        assert_eq!(more_files(&limit(Some(1024), Some(4096))), Some(4096));
        for enough in [limit(Some(4096), Some(4096)), limit(Some(20_000), Some(20_000)), limit(None, None)] {
            assert_eq!(more_files(&enough), None, "{enough:?}");
        }
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, limit(Some(1000), maximum)).unwrap();
        open_more_files();
        let most = maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
        assert_eq!(getrlimit(Resource::Nofile).current, Some(most));
    }
}
