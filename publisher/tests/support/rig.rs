//! A publisher that runs in a folder of its own, without a tor, and can be asked, changed and stopped.

use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Two frontends.
pub(crate) const FRONTENDS: [&str; 2] = [
    "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid",
    "l3izvqplbgaftzbw6ufk2vwc7emlnrn6gysou7lmgmm55hxzjcu4xlid",
];
/// Two backends.
pub(crate) const BACKENDS: [&str; 2] = [
    "paozpdhgz2okvc6kgbxvh2bnfsmt4xergrtcl4obkhopyvwxkpjzvoad",
    "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead",
];

/// A publisher in a folder of its own.
pub(crate) struct Rig {
    /// Configuration, state, sockets, log.
    dir: tempfile::TempDir,
    /// The running publisher.
    child: Option<Child>,
}

/// A service with a backend `b0` and perhaps more.
pub(crate) fn service(address: &str, backends: usize) -> String {
    let head = format!("[[service]]\naddress = \"{address}\"\nsigner = \"/nonexistent/signer\"\n");
    BACKENDS.iter().take(backends).enumerate().fold(head, |text, (at, address)| {
        format!("{text}[[service.backend]]\nname = \"b{at}\"\naddress = \"{address}\"\n")
    })
}

impl Rig {
    /// Makes the folder and starts.
    pub(crate) fn new(services: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        let mut rig = Self { dir, child: None };
        rig.write(services);
        rig.start();
        rig
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The configuration with these services.
    pub(crate) fn text(&self, services: &str) -> String {
        let path = |name: &str| self.path(name).display().to_string();
        format!(
            "state_dir = \"{}\"\nstatus_socket = \"{}\"\ncontrol_socket = \"{}\"\n[tor]\ncontrol = \"unix:{}\"\n{services}",
            path("state"),
            path("status.sock"),
            path("control.sock"),
            path("tor")
        )
    }

    pub(crate) fn write(&self, services: &str) {
        std::fs::write(self.path("p.toml"), self.text(services)).unwrap();
    }

    pub(crate) fn start(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut run = self.command(&["run"]);
        self.child = Some(run.stderr(Stdio::from(log)).spawn().unwrap());
        self.until("the control socket", |rig| rig.path("control.sock").exists());
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onionkeep-publisher"));
        command.args(["--config", "p.toml"]).args(words).current_dir(self.dir.path());
        command
    }

    /// Runs a command to its end: exit code, answer, error.
    pub(crate) fn ask(&self, words: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(words).output().unwrap();
        let text = |octets| String::from_utf8(octets).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    /// Runs a command that must do what it is asked.
    pub(crate) fn done(&self, words: &[&str]) -> String {
        let (code, stdout, stderr) = self.ask(words);
        assert_eq!((code, stderr.as_str()), (0, ""), "{words:?}");
        stdout
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.ask(&["status", "--json"]).1).unwrap()
    }

    /// Name, weight, draining, note of each backend of the first service.
    pub(crate) fn backends(&self) -> Vec<(String, u64, bool, Option<String>)> {
        let status = self.status();
        let backend = |one: &Value| {
            let note = one["changed"].as_str().map(str::to_owned);
            let (weight, draining) = (one["weight"].as_u64().unwrap(), one["draining"].as_bool().unwrap());
            (one["name"].as_str().unwrap().to_owned(), weight, draining, note)
        };
        status["services"][0]["backends"].as_array().unwrap().iter().map(backend).collect()
    }

    /// The addresses of all services.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let status = self.status();
        let services = status["services"].as_array().unwrap().iter();
        services.map(|service| service["address"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub(crate) fn stop(&mut self) {
        self.signal("-TERM");
        assert_eq!(self.child.take().unwrap().wait().unwrap().code(), Some(0));
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// What Prometheus would be given.
    pub(crate) fn metrics(&self) -> String {
        let mut stream = UnixStream::connect(self.path("metrics.sock")).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _step in 0..3000 {
            if is_so(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no {what} within 60 s\n{}", self.log());
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A backend as it should be.
pub(crate) fn is(
    name: &str,
    weight: u64,
    draining: bool,
    note: Option<&str>,
) -> (String, u64, bool, Option<String>) {
    (name.to_owned(), weight, draining, note.map(str::to_owned))
}
