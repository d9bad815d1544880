//! Every probe from inside a sandbox is refused, and all of them succeed without one, so that the test can fail.
//!
//! The probes run in a child of this very test program, because nothing that is given up comes back.

#![expect(clippy::unwrap_used, reason = "a test ends where it does not go on as it should")]

use onionkeep_signer::config::Sandbox;
use onionkeep_signer::harden::sandbox::{Role, confine};
use rustix::process::{Pid, getppid, test_kill_process};
use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;

/// Set in the child: the role, `none` for no sandbox.
const ROLE: &str = "ONIONKEEP_PROBE_ROLE";
/// Set in the child: the directory with `mine` and `theirs`.
const HOME: &str = "ONIONKEEP_PROBE_HOME";
/// How many probes there are.
const PROBES: usize = 9;

/// The child's part; nothing in the parent.
#[test]
fn probe() {
    let Ok(word) = std::env::var(ROLE) else { return };
    let home = PathBuf::from(std::env::var_os(HOME).unwrap());
    let (own, other) = (home.join("mine"), home.join("theirs"));
    let role = match word.as_str() {
        "gate" => Some(Role::Gate(own.clone())),
        "softhsm" => Some(Role::SoftHsm(own.clone())),
        "generic" => Some(Role::Generic),
        "none" => None,
        word => panic!("{word}"),
    };
    let parent: Pid = getppid().unwrap();
    if let Some(role) = role {
        confine(&role, Sandbox::Required).unwrap();
    }
    let probes: [(&str, bool); PROBES] = [
        ("read-own", File::open(own.join("own")).is_ok()),
        ("write-own", File::create(own.join("new")).is_ok()),
        ("read-other", File::open(&other).is_ok()),
        ("write-other", File::options().append(true).open(&other).is_ok()),
        ("run", Command::new("/bin/true").status().is_ok()),
        ("udp", UdpSocket::bind("127.0.0.1:0").is_ok()),
        ("tcp", TcpListener::bind("127.0.0.1:0").is_ok()),
        ("connect", UnixStream::connect(other.with_file_name("socket")).is_ok()),
        ("signal", test_kill_process(parent).is_ok()),
    ];
    for (name, done) in probes {
        println!("\nprobe {name} {}", if done { "done" } else { "refused" });
    }
}

/// The probes that were done in a role.
fn done(role: &str) -> Vec<String> {
    // In a place that not even the profile for unknown modules has.
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let own = home.path().join("mine");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("own"), "mine").unwrap();
    std::fs::write(home.path().join("theirs"), "theirs").unwrap();
    let _listens = UnixListener::bind(home.path().join("socket")).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "probe", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(HOME, home.path());
    let ran = child.output().unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    let results: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("probe ")).collect();
    assert_eq!(results.len(), PROBES, "{role}: {text}{}", String::from_utf8_lossy(&ran.stderr));
    results.into_iter().filter_map(|line| line.strip_suffix(" done")).map(str::to_owned).collect()
}

#[test]
fn without_a_sandbox_every_probe_succeeds() {
    assert_eq!(done("none").len(), PROBES);
}

#[test]
fn the_gate_can_use_its_own_directory_and_nothing_else() {
    assert_eq!(done("gate"), ["read-own", "write-own"]);
}

#[test]
fn a_vault_with_softhsm_can_read_its_tokens_and_nothing_else() {
    assert_eq!(done("softhsm"), ["read-own"]);
}

#[test]
fn a_vault_with_another_module_runs_nothing_and_has_no_network() {
    let done = done("generic");
    assert!(done.contains(&"connect".to_owned()), "{done:?}");
    assert!(
        ["run", "udp", "tcp", "signal"].iter().all(|probe| !done.contains(&(*probe).to_owned())),
        "{done:?}"
    );
}
