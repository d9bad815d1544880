//! A ceremony as two operators hold it: the request carried to the signer, the bundle carried back, words compared on the way.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Publisher, Ran, Signer};
use crate::process::User;
use crate::{clock, files, process};

/// The line of `request new` with what is read aloud begins so.
const WORDS: &str = "words";

/// What a ceremony has made, as the publisher's operator has it.
#[derive(Clone, Debug)]
pub struct Held {
    /// What was asked.
    pub request: PathBuf,
    /// The certificates.
    pub bundle: PathBuf,
    /// Those of the standby keys.
    pub emergency: PathBuf,
    /// The private halves of the standby keys, for the safe.
    pub standby: PathBuf,
}

/// A directory for files that one side reads and writes.
fn medium(dir: &Path, user: User) -> Result<PathBuf> {
    let medium = dir.join("medium");
    files::make_dir(&medium, user, 0o700)?;
    Ok(medium)
}

/// Carries a file to the other side.
fn carry(from: &Path, to: &Path, user: User) -> Result<PathBuf> {
    let to = to.join(from.file_name().context("no name")?);
    std::fs::copy(from, &to).with_context(|| format!("cannot carry {}", from.display()))?;
    files::give(&to, user, 0o600)?;
    Ok(to)
}

/// What follows a word on its line.
fn after(text: &str, word: &str) -> Result<String> {
    let mut lines = text.lines().map(str::trim_start).filter_map(|line| line.strip_prefix(word));
    let rest = lines.next().with_context(|| format!("no {word} in: {text}"))?;
    Ok(rest.trim_start_matches(':').trim().to_owned())
}

/// What the publisher's keys can be sealed by here: `host`, or `plain` and the reason.
pub fn sealing(publisher: &Publisher) -> Result<(&'static str, String)> {
    let mut command = process::command("systemd-creds", User::Publisher);
    command.env("SYSTEMD_CREDENTIAL_SECRET", publisher.machine_secret());
    command.args(["encrypt", "--with-key=host", "--name=try", "-", "-"]);
    let ran = Ran::of(command)?;
    Ok(if ran.code == 0 {
        ("host", String::new())
    } else {
        ("plain", format!("systemd-creds cannot seal here: {}", ran.stderr.trim()))
    })
}

/// `request new` for `periods`, `request enrol`, `issue`, `bundle verify` by both verifiers; nothing is imported yet.
///
/// The signer must not serve: the ledger is one command's at a time.
pub fn hold(
    signer: &Signer,
    publisher: &Publisher,
    (onion, periods): (&str, u64),
    seal: &str,
) -> Result<Held> {
    let (here, there) = (medium(publisher.dir(), User::Publisher)?, medium(signer.dir(), User::Signer)?);
    let file = |dir: &Path, end: &str| dir.join(format!("ceremony.{end}"));
    let held = Held {
        request: file(&here, "request"),
        bundle: file(&here, "bundle"),
        emergency: file(&here, "emergency"),
        standby: file(&here, "standby"),
    };
    let text = |path: &Path| path.to_str().map(str::to_owned).context("odd path");
    let key = publisher.run(&["request", "key", "--onion", onion])?.answer()?;
    let (hex, spoken) = key.trim().split_once('\n').context("no key and words")?;
    signer.run(&["request", "enrol", "--onion", onion, "--key", hex, "--heard", spoken])?.answer()?;
    let (count, request, standby) = (periods.to_string(), text(&held.request)?, text(&held.standby)?);
    let new =
        ["request", "new", "--onion", onion, "--periods", &count, "--standby", &standby, "-o", &request];
    let heard = after(&publisher.run(&[&new[..], &["--seal", seal]].concat())?.answer()?, WORDS)?;
    let carried = text(&carry(&held.request, &there, User::Signer)?)?;
    let made = [text(&file(&there, "bundle"))?, text(&file(&there, "emergency"))?];
    let watch = clock::tor_time(clock::unix_now()).chars().take(13).collect::<String>();
    let issue =
        ["issue", &carried, "-o", &made[0], "--emergency", &made[1], "--watch", &watch, "--heard", &heard];
    let first = signer.run(&[&issue[..], &["--first"]].concat())?.answer()?;
    ensure!(first.contains("Signed, verified and recorded"), "{first}");
    for made in &made {
        let back = text(&carry(Path::new(made), &here, User::Publisher)?)?;
        let ours =
            signer.run(&["bundle", "verify", made, "--onion", onion, "--request", &carried])?.answer()?;
        ensure!(ours.ends_with("VALID\n") && !ours.contains("INVALID"), "{ours}");
        let theirs = verify_otherwise(onion, &back)?;
        ensure!(theirs.starts_with("VALID "), "{theirs}");
    }
    Ok(held)
}

/// What the verifier that shares no code with ours says.
fn verify_otherwise(onion: &str, file: &str) -> Result<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("verify_bundle.py");
    let mut command = Command::new("python3");
    command.arg(script).args([onion, file]);
    Ran::of(command)?.answer()
}
