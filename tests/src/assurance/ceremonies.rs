//! Cuts the power of ceremonies at random moments: every one of them ends with the one answer to its request.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};
use onionkeep_common::iso::Iso;
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::{FileDigest, Previous, Purpose, Request, RequestId, RequestKey, Slot, spoken};
use onionkeep_common::{OnionAddress, PeriodNumber, PeriodRule, Signature, UnixTime};
use onionkeep_signer::ceremony::check::{self, Wanted};

use super::dice::Dice;
use super::subject::Subject;
use crate::daemon::{Ran, Signer};
use crate::process::User;
use crate::{clock, files, peer};

/// Ceremonies that nobody cuts: the shorter one says how long one takes, for the other may have been held up.
const UNCUT: usize = 2;
/// How many periods a request asks for.
const PERIODS: u64 = 2;
/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What was counted.
#[derive(Debug, Default)]
pub struct Count {
    /// Ceremonies, each of which ended with its bundles.
    pub ceremonies: usize,
    /// Kills, several in some ceremonies.
    pub kills: usize,
    /// How many of them came while the program still ran.
    pub hits: usize,
    /// After how many steps they came.
    pub after: BTreeMap<usize, usize>,
    /// How many left bundles on record that nobody had yet.
    pub recorded: usize,
    /// What must not be.
    pub wrong: Vec<String>,
}

/// A publisher whose requests are answered.
pub struct Publisher {
    key: SigningKey,
    onion: OnionAddress,
}

impl Publisher {
    /// The publisher of an onion, enrolled at its signer.
    pub fn enrolled(signer: &Signer, onion: OnionAddress) -> Result<Self> {
        let key = SigningKey::from_bytes(&[0x4b; 32]);
        let public = key.verifying_key().to_bytes();
        let (text, hex) = (onion.to_string(), HEXLOWER.encode(&public));
        let enrol = ["request", "enrol", "--onion", &text, "--key", &hex, "--heard", &spoken(&public)];
        signer.run(&enrol)?.answer()?;
        Ok(Self { key, onion })
    }

    /// A request that goes on after a bundle, and its words.
    #[must_use]
    pub fn request(&self, sequence: u32, previous: Previous) -> (Vec<u8>, String) {
        let now = UnixTime(clock::unix_now());
        let first = PeriodRule::PUBLIC.number_at(now).0;
        let slots = |kind: u8| {
            let one = |ahead: u64| {
                let mut seed = [kind; 32];
                seed[..4].copy_from_slice(&sequence.to_be_bytes());
                seed[4] = u8::try_from(ahead).unwrap_or(0);
                let asked = peer::request(self.onion, PeriodNumber(first + ahead), seed);
                Slot { period: asked.period, key: asked.key, proof: asked.proof }
            };
            (0..PERIODS).map(one).collect::<Vec<_>>()
        };
        let mut id = [0; 16];
        id[..4].copy_from_slice(&sequence.to_be_bytes());
        let request = Request {
            purpose: Purpose::Real,
            onion: self.onion,
            id: RequestId(id),
            sequence,
            previous,
            created: now,
            clockwork: Clockwork::PUBLIC,
            requester: RequestKey(self.key.verifying_key().to_bytes()),
            slots: slots(0x51),
            standby: slots(0x52),
        };
        let file = request.to_file(|text| Signature(self.key.sign(text).to_bytes())).into_bytes();
        let words = FileDigest::of(&file).words();
        (file, words)
    }
}

/// What a right watch shows.
#[must_use]
pub fn watch() -> String {
    let time = Iso(UnixTime(clock::unix_now())).to_string();
    time.split(':').next().unwrap_or_default().replace('T', " ")
}

/// One ceremony.
pub struct Ceremony<'a> {
    subject: &'a Subject,
    dir: PathBuf,
    request: PathBuf,
    words: String,
    first: bool,
    out: Option<PathBuf>,
}

impl<'a> Ceremony<'a> {
    /// The first ceremony of a subject, whose bundle goes to `out`.
    pub fn first(subject: &'a Subject, out: Option<&Path>) -> Result<Self> {
        let publisher = Publisher::enrolled(&subject.signer, subject.keys[0].onion)?;
        let home = subject.run.path().join("ceremonies");
        files::make_dir(&home, User::Signer, 0o700)?;
        let ((file, words), request) = (publisher.request(1, Previous::First), home.join("1.request"));
        files::write(&request, &file, User::Signer, 0o600)?;
        Ok(Self { subject, dir: home.join("c1"), request, words, first: true, out: out.map(Path::to_owned) })
    }

    /// Begins it or goes on, until it ends by itself.
    pub fn run(&self) -> Result<Ran> {
        Ran::of(self.command())
    }

    /// Whether a file is its bundle.
    pub fn fits(&self, file: &[u8]) -> Result<(), String> {
        let request = std::fs::read(&self.request).map_err(|error| error.to_string())?;
        fits(file, &request, self.subject.keys[0].onion)
    }

    /// The command that begins it, or goes on.
    fn command(&self) -> Command {
        let watch = watch();
        let (dir, request) = (self.dir.display().to_string(), self.request.display().to_string());
        let out = self.out.as_ref().map(|path| path.display().to_string());
        let mut words = vec!["ceremony"];
        if self.dir.join("plan").exists() {
            words.extend(["resume", &dir]);
        } else {
            words.extend(["start", &dir, "--request", &request]);
            words.extend(self.first.then_some("--first"));
            if let Some(out) = &out {
                words.extend(["--out", out]);
            }
        }
        words.extend(["--watch", &watch, "--heard", &self.words]);
        let mut command = self.subject.signer.command(&words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    fn finish(&self) -> Result<()> {
        let ran = self.command().output()?;
        ensure!(ran.status.success(), "it does not end: {}", String::from_utf8_lossy(&ran.stderr));
        Ok(())
    }

    /// Runs it until the kill, if it is still there then.
    fn cut(&self, after: Duration) -> Result<bool> {
        let mut child = self.command().spawn()?;
        thread::sleep(after);
        let hit = child.try_wait()?.is_none();
        child.kill()?;
        child.wait()?;
        Ok(hit)
    }

    /// How many steps are done.
    fn steps(&self) -> usize {
        let text = std::fs::read_to_string(self.dir.join("steps")).unwrap_or_default();
        text.lines().count().saturating_sub(1)
    }

    /// Where its bundles are.
    fn bundles(&self, sequence: u32) -> [PathBuf; 2] {
        ["bundle", "emergency"].map(|end| self.dir.join(format!("{sequence}.{end}")))
    }
}

/// Begins `ceremonies` and cuts each at one or more moments.
pub fn run(subject: &Subject, ceremonies: usize, seed: usize) -> Result<Count> {
    let (mut dice, mut count) = (Dice::new(seed), Count::default());
    let publisher = Publisher::enrolled(&subject.signer, subject.keys[0].onion)?;
    subject.keep_token()?;
    let home = subject.run.path().join("ceremonies");
    files::make_dir(&home, User::Signer, 0o700)?;
    let (mut previous, mut whole) = (Previous::First, LIMIT);
    for number in 0..UNCUT + ceremonies {
        let sequence = u32::try_from(number)? + 1;
        let (file, words) = publisher.request(sequence, previous);
        let (dir, request) = (home.join(format!("c{number}")), home.join(format!("{number}.request")));
        files::write(&request, &file, User::Signer, 0o600)?;
        let ceremony = Ceremony { subject, dir, request, words, first: number == 0, out: None };
        if number < UNCUT {
            let start = Instant::now();
            ceremony.finish()?;
            whole = whole.min(start.elapsed());
        } else {
            count.ceremonies += 1;
            cut(&ceremony, (sequence, &file), &mut whole, &mut dice, &mut count)?;
            ceremony.finish().with_context(|| format!("ceremony {number}"))?;
        }
        let main = judge(subject, &ceremony, (sequence, &file), &mut count.wrong)?;
        previous = Previous::Bundle(main);
    }
    subject.signer.run(&["audit", "verify"])?.answer()?;
    Ok(count)
}

/// Cuts a ceremony once, and in every other case again. `whole` is how long one takes; it is less if it is over before its
/// first cut.
fn cut(
    ceremony: &Ceremony<'_>,
    asked: (u32, &[u8]),
    whole: &mut Duration,
    dice: &mut Dice,
    count: &mut Count,
) -> Result<()> {
    let (mut seen, mut first) = ([BTreeSet::new(), BTreeSet::new()], true);
    loop {
        let micros = usize::try_from(whole.as_micros())?.max(10);
        let after = Duration::from_micros(dice.below(micros + micros / 10).try_into()?);
        let hit = ceremony.cut(after)?;
        if first && !hit {
            *whole = after.min(*whole);
        }
        first = false;
        count.kills += 1;
        count.hits += usize::from(hit);
        *count.after.entry(ceremony.steps()).or_default() += 1;
        // SoftHSM does not survive every SIGKILL; a token does.
        ceremony.subject.restore_token()?;
        let there = ceremony.bundles(asked.0);
        count.recorded +=
            usize::from(recorded(ceremony.subject)? == usize::try_from(asked.0)? && !there[0].exists());
        for (path, digests) in there.iter().zip(&mut seen) {
            if let Ok(file) = std::fs::read(path) {
                digests.insert(FileDigest::of(&file));
                if let Err(what) = fits(&file, asked.1, ceremony.subject.keys[0].onion) {
                    count.wrong.push(format!("{} after a kill: {what}", path.display()));
                }
            }
        }
        if dice.below(2) == 0 {
            break;
        }
    }
    ceremony.finish()?;
    for (path, digests) in ceremony.bundles(asked.0).iter().zip(&mut seen) {
        digests.insert(FileDigest::of(&std::fs::read(path)?));
        if digests.len() != 1 {
            count.wrong.push(format!("{}: {} different answers", path.display(), digests.len()));
        }
    }
    Ok(())
}

/// Whether a file is a whole bundle that answers the request.
fn fits(file: &[u8], request: &[u8], onion: OnionAddress) -> Result<(), String> {
    let wanted = Wanted { onion, request: Some(request), auditor: None, purpose: Purpose::Real };
    check::bundle(file, &wanted).map(drop)
}

/// How many answers are on record.
fn recorded(subject: &Subject) -> Result<usize> {
    let shown = subject.signer.run(&["audit", "show"])?.answer()?;
    Ok(shown.lines().filter(|line| line.split_whitespace().nth(2) == Some("bundle")).count())
}

/// Looks at a ceremony that is over: its bundles, what is kept, what is on record.
fn judge(
    subject: &Subject,
    ceremony: &Ceremony<'_>,
    (sequence, request): (u32, &[u8]),
    wrong: &mut Vec<String>,
) -> Result<FileDigest> {
    let onion = subject.keys[0].onion;
    let files = ceremony.bundles(sequence).map(std::fs::read);
    let [main, spare] = files;
    let (main, spare) = (main?, spare?);
    for file in [&main, &spare] {
        if let Err(what) = fits(file, request, onion) {
            wrong.push(format!("number {sequence}: {what}"));
        }
    }
    let kept = kept(&subject.signer.dir().join("state/ceremony"))?;
    let answers = usize::try_from(sequence)?;
    if kept.len() != 2 * answers
        || ![&main, &spare].iter().all(|file| kept.contains(&FileDigest::of(file).to_string()))
    {
        wrong.push(format!("number {sequence}: {} files are kept for {answers} answers", kept.len()));
    }
    if recorded(subject)? != answers {
        wrong.push(format!("number {sequence}: {} answers are on record", recorded(subject)?));
    }
    Ok(FileDigest::of(&main))
}

/// The names of the bundles in the state directory.
fn kept(dir: &Path) -> Result<BTreeSet<String>> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| -> Result<String> {
        Ok(entry?.file_name().to_string_lossy().into_owned())
    };
    std::fs::read_dir(dir)?.map(name).collect()
}
