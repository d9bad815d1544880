//! The signer that the rigs work on: real program, real SoftHSM token, keys that the harness knows.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use onionkeep_common::wire::CertifyRequest;
use onionkeep_common::{OnionAddress, PeriodNumber};
use sha2::{Digest as _, Sha512};

use rustix::process::{Pid, Signal, getuid, kill_process};

use super::scan;
use super::secrets::KnownKey;
use crate::daemon::{Programs, Signer};
use crate::files::{self, RunDir};
use crate::peer;
use crate::process::{self, User};
use crate::wait::{self, HALF_DAY};

/// The user PIN: too long to be met by chance, and computed, so that it does not stand in the program either.
#[must_use]
pub fn pin() -> String {
    HEXLOWER.encode(&Sha512::digest(b"onionkeep assurance pin")[..12])
}

/// How long an end may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Longer in **seconds** than a short rig takes: the slots are those of three periods, whose next one is a border of the policy.
const LONGEST: u64 = 240;
/// Keys of one period that the policy lets through.
const KEYS_PER_PERIOD: usize = 8;
/// Different certificates that the policy allows for one onion at one time: three periods.
pub const SLOTS_PER_ONION: usize = 3 * KEYS_PER_PERIOD;

/// A signer with its token and its known keys.
pub struct Subject {
    /// The signer.
    pub signer: Signer,
    /// Its frontends.
    pub keys: Vec<KnownKey>,
    /// The period when the subject was made; the slots are counted from it.
    period: PeriodNumber,
    /// Holds everything.
    pub run: RunDir,
}

impl Subject {
    /// A signer with `onions` imported keys that the user of this process may ask for. It does not run yet.
    pub fn new(onions: usize) -> Result<Self> {
        Self::granted(onions, |_number| getuid().as_raw())
    }

    /// The same, with the uid that may ask for each of them.
    pub fn granted(onions: usize, uid: impl Fn(usize) -> u32) -> Result<Self> {
        let mut run = RunDir::new()?;
        run.discard();
        let programs = Programs::install(run.path())?;
        let mut signer = Signer::new(run.path(), &programs, None)?;
        signer.write_pin(&pin())?;
        signer.init_token()?;
        let mut keys = Vec::new();
        let file = signer.dir().join("key-to-import");
        for number in 0..onions {
            let key = KnownKey::new(number);
            files::write(&file, key.tor_file(), User::Signer, 0o400)?;
            let address: OnionAddress = signer.import_key(&file)?.parse()?;
            std::fs::remove_file(&file)?;
            ensure!(address == key.onion, "another address came out of the import");
            keys.push(key);
        }
        for (number, key) in keys.iter().enumerate() {
            signer.allow_uid(&key.onion.to_string(), uid(number))?;
        }
        wait::clear_of(HALF_DAY, LONGEST);
        Ok(Self { signer, keys, period: peer::period_now(), run })
    }

    /// A copy of `program`, which is the program `assurance`, that every user of the run may execute.
    pub fn tool(&self, program: &Path) -> Result<PathBuf> {
        let copy = self.run.path().join("bin/assurance");
        files::copy_program(program, &copy)?;
        Ok(copy)
    }

    /// The tool as the signer's user, on the signer's configuration and token.
    #[must_use]
    pub fn tool_command(&self, tool: &Path, rig: &str) -> Command {
        let mut command = process::command(tool, User::Signer);
        command.env("SOFTHSM2_CONF", self.signer.token().config());
        command.arg(rig).arg(self.signer.config());
        command
    }

    /// Starts it; how long it took until it served.
    pub fn start(&mut self) -> Result<Duration> {
        let start = Instant::now();
        self.signer.start()?;
        Ok(start.elapsed())
    }

    /// Every process of the running signer, the one that was started first.
    pub fn processes(&mut self) -> Result<Vec<u32>> {
        scan::family(self.signer.process()?.id())
    }

    /// Asks what runs under a tracer to end; the tracer then ends by itself.
    pub fn stop_traced(&mut self) -> Result<()> {
        let family = self.processes()?;
        let traced = family.get(1).context("nothing runs under the tracer")?;
        let pid = i32::try_from(*traced).ok().and_then(Pid::from_raw).context("odd process id")?;
        kill_process(pid, Signal::TERM)?;
        self.signer.process()?.wait_end(LIMIT).map(drop)
    }

    /// Where a copy of the token is kept.
    fn snapshot(&self) -> PathBuf {
        self.run.path().join("token-snapshot")
    }

    /// Keeps a copy of the token: SoftHSM does not survive every SIGKILL.
    pub fn keep_token(&self) -> Result<()> {
        self.signer.token().snapshot(&self.snapshot())
    }

    /// Puts the copy in place.
    pub fn restore_token(&self) -> Result<()> {
        self.signer.token().restore(&self.snapshot()).context("the token's snapshot")
    }

    /// How many different certificates can be asked for.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.keys.len() * SLOTS_PER_ONION
    }

    /// The request for a slot, always the same for the same number.
    #[must_use]
    pub fn request(&self, slot: usize) -> CertifyRequest {
        let onion = self.keys[slot / SLOTS_PER_ONION % self.keys.len()].onion;
        let within = slot % SLOTS_PER_ONION;
        let period = PeriodNumber(self.period.0 - 1 + u64::try_from(within / KEYS_PER_PERIOD).unwrap_or(0));
        let mut seed = [0x5a; 32];
        seed[..8].copy_from_slice(&slot.to_be_bytes());
        peer::request(onion, period, seed)
    }
}
