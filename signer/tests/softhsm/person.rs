//! A person at a pseudo-terminal: reads what a command shows, types lines. The only place here that opens one.

use crate::kit::ran::Ran;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longer than any command waits for anything but this person.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody in front of a command.
pub(crate) struct Person {
    /// The other end of the terminal.
    terminal: File,
    /// What the terminal shows, as it comes.
    shown: Receiver<Vec<u8>>,
    /// All that was shown.
    pub(crate) seen: String,
    /// Up to where it was read.
    read: usize,
    /// The command; killed when this is dropped, so that a test that fails leaves nobody waiting at a terminal.
    child: Option<Child>,
}

impl Person {
    /// Runs a command whose controlling terminal is a new pseudo-terminal.
    pub(crate) fn runs(command: &Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let end = File::options().read(true).write(true).open(name).unwrap();
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg("--wait").arg(command.get_program()).args(command.get_args());
        session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let child = session.stdin(end).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let terminal = File::from(master);
        let (mut reader, (to, shown)) = (terminal.try_clone().unwrap(), channel());
        std::thread::spawn(move || {
            let mut octets = [0; 4096];
            // The terminal's end is an error: nobody has its other side open any more.
            while let Ok(length) = reader.read(&mut octets) {
                if length == 0 || to.send(octets[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { terminal, shown, seen: String::new(), read: 0, child: Some(child) }
    }

    /// Waits until the words are shown, and returns what was shown before them.
    #[track_caller]
    pub(crate) fn reads(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((before, _after)) = self.seen.split_at(self.read).1.split_once(words) {
                let before = before.to_owned();
                self.read += before.len() + words.len();
                return before;
            }
            match self.shown.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(octets) => self.seen.push_str(&String::from_utf8_lossy(&octets)),
                Err(RecvTimeoutError::Timeout) => panic!("{words:?} is not shown: {}", self.seen),
                Err(RecvTimeoutError::Disconnected) => {
                    let mut text = String::new();
                    let stderr = self.child.as_mut().unwrap().stderr.take();
                    stderr.unwrap().read_to_string(&mut text).unwrap();
                    panic!("it ended before {words:?}: {}\n{text}", self.seen);
                }
            }
        }
    }

    /// Types a line.
    pub(crate) fn types(&mut self, line: &str) {
        self.terminal.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupts(&mut self) {
        self.terminal.write_all(&[3]).unwrap();
    }

    /// Waits for the end of the command.
    pub(crate) fn leaves(mut self) -> (Ran, String) {
        let ran = Ran::of(crate::kit::ran::ended(self.child.take().unwrap()));
        // To the terminal's end; a process that outlives the command may keep it open.
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Ok(octets) = self.shown.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.seen.push_str(&String::from_utf8_lossy(&octets));
        }
        (ran, std::mem::take(&mut self.seen))
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _already_ended = child.kill();
            let _status = child.wait();
        }
    }
}

#[test]
fn a_test_that_fails_leaves_no_command_at_its_terminal() {
    let mut command = Command::new("sleep");
    command.arg("600");
    let person = Person::runs(&command);
    let pid = person.child.as_ref().unwrap().id();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    let failed = std::thread::spawn(move || {
        let _at_the_terminal = person;
        panic!("a test that fails");
    });
    assert!(failed.join().is_err());
    crate::kit::serving::wait_gone(pid);
}
