//! What these tests share: a signer with a token of its own, and words about how a command must end.

use onionkeep_tests::daemon::{Programs, Ran, Signer};
use onionkeep_tests::files::RunDir;

/// Exit codes of both programs.
pub(crate) mod code {
    /// Usage or configuration.
    pub(crate) const USAGE: i32 = 2;
    /// A check failed.
    pub(crate) const VERIFICATION: i32 = 4;
    /// Token or tor away.
    pub(crate) const AWAY: i32 = 5;
    /// PIN or credential.
    pub(crate) const PIN: i32 = 6;
}

/// A signer with an initialised token and one key that nobody may ask for yet.
pub(crate) struct Kit {
    /// The signer.
    pub(crate) signer: Signer,
    /// The address of its key, with `.onion`.
    pub(crate) address: String,
    /// The directory of this test.
    pub(crate) run: RunDir,
}

impl Kit {
    /// Makes token and key.
    pub(crate) fn new() -> Self {
        let mut run = RunDir::new().unwrap();
        run.discard();
        let programs = Programs::install(run.path()).unwrap();
        let mut signer = Signer::new(run.path(), &programs, None).unwrap();
        signer.init_token().unwrap();
        let address = signer.new_key().unwrap();
        Self { signer, address, run }
    }

    /// The same, and the user of this test may ask for the key.
    pub(crate) fn open_to_us() -> Self {
        let mut kit = Self::new();
        kit.signer.allow_uid(&kit.address, rustix::process::getuid().as_raw()).unwrap();
        kit
    }
}

/// The command failed with this code, one `error:` line that has each of `words`, and a `try:` line.
#[track_caller]
pub(crate) fn assert_fails(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{ran:?}");
    let error = ran.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    let hint = ran.stderr.lines().filter(|line| line.starts_with("try: ")).count();
    assert_eq!((error, hint), (1, 1), "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "no {word:?} in: {}", ran.stderr);
    }
}
