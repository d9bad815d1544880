//! What the two verifiers say about files; they must agree on each.

use crate::made::{auditor, onion};
use onionkeep_common::paper::Purpose;
use onionkeep_signer::ceremony::check::{self, Wanted};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What ours says.
pub(crate) fn ours(file: &[u8]) -> bool {
    let wanted = Wanted { onion: onion(), request: None, auditor: Some(auditor()), purpose: Purpose::Real };
    check::bundle(file, &wanted).is_ok()
}

/// The Python one, running.
pub(crate) struct Theirs {
    child: Child,
    names: Option<ChildStdin>,
    verdicts: BufReader<ChildStdout>,
    dir: tempfile::TempDir,
}

impl Theirs {
    pub(crate) fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("verify_bundle.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(onion().to_string()).arg("-");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (names, verdicts) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, names, verdicts, dir: tempfile::tempdir().unwrap() }
    }

    /// What it says about a file.
    pub(crate) fn says(&mut self, file: &[u8]) -> bool {
        let path = self.dir.path().join("a.bundle");
        std::fs::write(&path, file).unwrap();
        writeln!(self.names.as_mut().unwrap(), "{}", path.display()).unwrap();
        let mut line = String::new();
        self.verdicts.read_line(&mut line).unwrap();
        let word = line.split(' ').next().unwrap();
        assert!(["VALID", "INVALID"].contains(&word), "{line:?}");
        word == "VALID"
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        drop(self.names.take());
        let _status = self.child.wait();
    }
}

/// Both verifiers, and how many files they were shown.
pub(crate) struct Both {
    theirs: Theirs,
    /// Files that both refused.
    pub(crate) refused: usize,
}

impl Both {
    pub(crate) fn start() -> Self {
        Self { theirs: Theirs::start(), refused: 0 }
    }

    /// Both accept.
    #[track_caller]
    pub(crate) fn accept(&mut self, file: &[u8], what: &str) {
        assert_eq!((ours(file), self.theirs.says(file)), (true, true), "ours, theirs: {what}");
    }

    /// Both refuse.
    #[track_caller]
    pub(crate) fn refuse(&mut self, file: &[u8], what: &str) {
        assert_eq!((ours(file), self.theirs.says(file)), (false, false), "ours, theirs: {what}");
        self.refused += 1;
    }
}
