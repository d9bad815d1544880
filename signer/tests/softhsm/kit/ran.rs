//! A command of the signer run to its end, and how it ended.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a command of the signer may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// Runs a command without input to its end; one that does not end is killed, and fails the test.
#[track_caller]
pub(crate) fn output(mut command: Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    ended(command.spawn().unwrap())
}

/// What a child says until its end; one that does not end is killed, and fails the test.
#[track_caller]
pub(crate) fn ended(child: Child) -> Output {
    let pid = rustix::process::Pid::from_child(&child);
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || tell.send(child.wait_with_output().unwrap()).unwrap());
    let ended = told.recv_timeout(COMMAND_LIMIT);
    if ended.is_err() {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    thread.join().unwrap();
    ended.unwrap()
}

/// Waits for the end of a child, not for ever.
#[track_caller]
pub(crate) fn wait(child: &mut Child) -> std::process::ExitStatus {
    let deadline = Instant::now() + COMMAND_LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "process {} does not end", child.id());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The first word of an answer.
pub(crate) fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap()
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// The answer of a command that must succeed.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    /// Checks exit code and error of a command that must fail.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains("error: ") && self.stderr.contains(words), "{words}: {self:?}");
    }
}
