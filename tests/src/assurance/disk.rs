//! A disk that is full, read-only or broken under a running signer: refused with a code, and well again by itself.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use onionkeep_common::wire::{AwayReason, Reply};

use super::subject::Subject;
use crate::files;
use crate::peer::{self, Peer};
use crate::process::{self, Process, User};
use crate::wait::{self, HOUR};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(20);
/// How long after the end of the trouble everything must be well.
const RECOVERY: Duration = Duration::from_secs(20);

/// A small file system of its own below a directory; unmounted when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts 256 KiB at `path` for `user`, with what was there before.
    pub fn mount(path: &Path, spare: &Path, user: User) -> Result<Self> {
        files::copy_tree(path, spare)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs"]).arg(path);
        process::run(&mut mount, "mounting a small disk")?;
        let disk = Self(path.to_owned());
        files::give(path, user, 0o700)?;
        files::copy_tree(spare, path)?;
        Ok(disk)
    }

    /// Leaves no free octet; the name of the file that takes them all.
    pub fn fill(&self) -> Result<PathBuf> {
        let file = self.0.join("filler");
        let mut piece = 65_536;
        let mut filler = std::fs::File::create(&file)?;
        while piece > 0 {
            if std::io::Write::write_all(&mut filler, &vec![0; piece]).is_err() {
                piece /= 2;
            }
        }
        Ok(file)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// Whether file systems can be mounted here, which needs root and more.
#[must_use]
pub fn can_mount() -> bool {
    let Ok(dir) = tempfile::tempdir() else { return false };
    let mount = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(dir.path()).output();
    let mounted = mount.is_ok_and(|output| output.status.success());
    mounted && Command::new("umount").arg(dir.path()).status().is_ok_and(|status| status.success())
}

/// One trouble with the disk: what makes it and what ends it.
pub trait Trouble {
    /// Makes it.
    fn begin(&mut self) -> Result<()>;
    /// Ends it.
    fn end(&mut self) -> Result<()>;
}

/// Asks for certificates while there is trouble until one is refused, and for that one until it comes afterwards. The signer
/// runs all the time.
pub fn check(subject: &mut Subject, trouble: &mut dyn Trouble, fresh: Range<usize>) -> Result<()> {
    // It does not last so long, and in one hour the same request gets the same certificate.
    wait::clear_of(HOUR, 60);
    let known = fresh.start;
    let before = certificate(subject, known)?;
    trouble.begin()?;
    // The last block of a file has some room even on a full disk.
    let (mut refused, mut said) = (None, Vec::new());
    for slot in known + 1..fresh.end {
        let reply = ask(subject, slot)?;
        if matches!(reply, Reply::Away { reason: AwayReason::Storage, retry_after } if retry_after > 0) {
            refused = Some(slot);
            break;
        }
        said.push(reply);
    }
    let fresh = refused.with_context(|| format!("the signer refused nothing: {said:?}"))?;
    trouble.end()?;
    wait::until_true("a certificate with a good disk", RECOVERY, || {
        verified(subject, fresh, ask(subject, fresh)?).map(|_cert| true)
    })?;
    ensure!(certificate(subject, known)? == before, "the certificate from before was forgotten");
    subject.signer.process()?.must_run()
}

/// One question on a new connection.
fn ask(subject: &Subject, slot: usize) -> Result<Reply> {
    Ok(Peer::connect(&subject.signer.socket(), LIMIT)?.ask(&subject.request(slot))?)
}

/// A certificate that verifies, when there is no trouble.
fn certificate(subject: &Subject, slot: usize) -> Result<[u8; 140]> {
    let said = Peer::connect(&subject.signer.socket(), LIMIT)?.answered(&subject.request(slot))?;
    verified(subject, slot, said)
}

/// The certificate of an answer, which must verify.
fn verified(subject: &Subject, slot: usize, said: Reply) -> Result<[u8; 140]> {
    let Reply::Certificate(cert) = said else { anyhow::bail!("{said:?}") };
    peer::check(&subject.request(slot), &cert)?;
    Ok(cert.0)
}

/// No free octet.
pub struct Full {
    /// The disk.
    disk: SmallDisk,
    /// What fills it.
    filler: Option<PathBuf>,
}

impl Full {
    /// On this disk.
    #[must_use]
    pub const fn new(disk: SmallDisk) -> Self {
        Self { disk, filler: None }
    }
}

impl Trouble for Full {
    fn begin(&mut self) -> Result<()> {
        self.filler = Some(self.disk.fill()?);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(self.filler.take().map_or(Ok(()), std::fs::remove_file)?)
    }
}

/// Calls of the running signer that fail with an error of our choice, by way of strace: a disk that is read-only or broken
/// cannot be had otherwise while a file is open.
pub struct Failing {
    /// The processes of the signer.
    pids: Vec<u32>,
    /// Calls and error, as strace's `inject` wants them.
    what: &'static str,
    /// Where strace writes.
    log: PathBuf,
    /// The tracer, while there is trouble.
    strace: Option<Process>,
}

impl Failing {
    /// Input/output errors whenever something is to be flushed to the disk.
    pub const BROKEN: &str = "inject=fsync,fdatasync:error=EIO";
    /// A file system that went read-only.
    pub const READ_ONLY: &str = "inject=write,pwrite64,fsync,fdatasync:error=EROFS";

    /// In a running signer.
    pub fn new(subject: &mut Subject, what: &'static str) -> Result<Self> {
        let log = subject.run.path().join("strace-log");
        Ok(Self { pids: subject.processes()?, what, log, strace: None })
    }
}

impl Trouble for Failing {
    fn begin(&mut self) -> Result<()> {
        let mut command = process::command("strace", User::Harness);
        command.args(["-f", "-o", "/dev/null", "-e", self.what]);
        for pid in &self.pids {
            command.arg("-p").arg(pid.to_string());
        }
        let strace = self.strace.insert(Process::start("strace", command, &self.log)?);
        wait::until_true("strace to attach", LIMIT, || {
            strace.must_run()?;
            self.pids.iter().try_fold(true, |all, pid| Ok(all && is_traced(*pid)?))
        })
    }

    fn end(&mut self) -> Result<()> {
        self.strace.take().map_or(Ok(()), |strace| strace.stop(LIMIT).map(drop))
    }
}

/// Whether every thread of a process has a tracer.
fn is_traced(pid: u32) -> Result<bool> {
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = std::fs::read_to_string(task?.path().join("status"))?;
        if status.lines().any(|line| line == "TracerPid:\t0") {
            return Ok(false);
        }
    }
    Ok(true)
}
