//! What these tests share: a signer with a token that fails by a script, and its onions.

use onionkeep_common::OnionAddress;
use onionkeep_common::wire::Reply;
use onionkeep_tests::daemon::{Programs, Ran, Signer};
use onionkeep_tests::fault_token::{Call, FaultToken};
use onionkeep_tests::files::RunDir;
use onionkeep_tests::peer;
use onionkeep_tests::wait::{self, HALF_DAY, Seen};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Makes the counts of these tests larger.
const TIMES_VARIABLE: &str = "ONIONKEEP_CUSTODY_TIMES";

/// Above every promise: that it is kept in time is judged by who measures.
const SERVES_AGAIN: Duration = Duration::from_secs(60);

/// Exit codes.
pub(crate) mod code {
    /// Usage or configuration.
    pub(crate) const USAGE: i32 = 2;
    /// A check failed.
    pub(crate) const VERIFICATION: i32 = 4;
    /// Token away.
    pub(crate) const AWAY: i32 = 5;
    /// PIN.
    pub(crate) const PIN: i32 = 6;
}

/// How often to do something: the number of every day, unless the environment names another.
pub(crate) fn times(every_day: u64) -> u64 {
    std::env::var(TIMES_VARIABLE).map_or(every_day, |times| times.parse().unwrap())
}

/// Whether a call has the token look at a PIN.
fn is_try(call: &Call) -> bool {
    call.function == "C_Login" && call.code != "HANGS"
}

/// Whether the published figures are being measured.
pub(crate) fn is_measured() -> bool {
    std::env::var_os(TIMES_VARIABLE).is_some()
}

/// A signer with an initialised token and keys that we may ask for.
pub(crate) struct Kit {
    /// The signer.
    pub(crate) signer: Signer,
    /// The addresses of its keys.
    pub(crate) onions: Vec<OnionAddress>,
    /// The directory of this test.
    _run: RunDir,
}

impl Kit {
    /// A token that is ready, without a key.
    pub(crate) fn empty() -> Self {
        // A key is for one period.
        wait::clear_of(HALF_DAY, 120);
        let mut run = RunDir::new().unwrap();
        run.discard();
        let programs = Programs::install(run.path()).unwrap();
        let mut signer = Signer::with_fault_token(run.path(), &programs).unwrap();
        signer.init_token().unwrap();
        Self { signer, onions: Vec::new(), _run: run }
    }

    /// The same with so many keys.
    pub(crate) fn new(keys: usize) -> Self {
        let mut kit = Self::empty();
        for _ in 0..keys {
            let address = kit.signer.new_key().unwrap();
            kit.signer.allow_uid(&address, rustix::process::getuid().as_raw()).unwrap();
            kit.onions.push(address.parse().unwrap());
        }
        kit
    }

    /// The same, and it serves.
    pub(crate) fn serving(keys: usize) -> Self {
        let mut kit = Self::new(keys);
        kit.signer.start().unwrap();
        kit
    }

    /// Its token.
    pub(crate) fn token(&self) -> &FaultToken {
        self.signer.fault()
    }

    /// Sets the faults.
    pub(crate) fn faults(&self, lines: &[&str]) {
        self.token().script(lines).unwrap();
    }

    /// Asks for a certificate of one onion; one that does not verify is a failed test.
    pub(crate) fn ask(&self, onion: usize, seed: u64) -> Reply {
        let asked = peer::ask(&self.signer.socket(), self.onions[onion], seed);
        asked.unwrap_or_else(|error| panic!("{error:#}\n{}", self.signer.log()))
    }

    /// Asks until there is a certificate; gives how long that took.
    pub(crate) fn serves_again(&self, onion: usize, seed: u64) -> Duration {
        let start = Instant::now();
        wait::until("a certificate", SERVES_AGAIN, || {
            Ok(match peer::ask(&self.signer.socket(), self.onions[onion], seed) {
                Ok(Reply::Certificate(_)) => Seen::Ready(()),
                Ok(other) => Seen::NotYet(format!("{other:?}")),
                Err(error) => Seen::Hopeless(format!("{error:#}\n{}", self.signer.log())),
            })
        })
        .unwrap();
        start.elapsed()
    }

    /// No process tried the PIN more than once.
    #[track_caller]
    pub(crate) fn assert_one_login_a_process(&self) {
        let mut tries = BTreeMap::new();
        for call in self.token().calls().unwrap().iter().filter(|call| is_try(call)) {
            *tries.entry(call.process).or_insert(0_u32) += 1;
        }
        let many: Vec<_> = tries.iter().filter(|(_process, tries)| **tries > 1).collect();
        assert!(!tries.is_empty() && many.is_empty(), "processes and their tries: {many:?}");
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.signer.run(arguments).unwrap()
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
