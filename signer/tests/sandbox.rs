//! Every probe from inside a sandbox is refused, and all of them succeed without one, so that the test can fail.
//!
//! The probes run in a child of this very test program, because nothing that is given up comes back.

#![expect(clippy::unwrap_used, reason = "a test ends where it does not go on as it should")]

use nix::sys::ptrace;
use nix::unistd::Pid as TracedPid;
use onionkeep_signer::config::Sandbox;
use onionkeep_signer::harden::sandbox::{Role, confine};
use rustix::process::{Pid, getppid, test_kill_process};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::fs::File;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Set in the child: the role, `none` for no sandbox.
const ROLE: &str = "ONIONKEEP_PROBE_ROLE";
/// Set in the child: the directory with `mine` and `theirs`.
const HOME: &str = "ONIONKEEP_PROBE_HOME";
/// Set in the child: a port on which somebody listens.
const PORT: &str = "ONIONKEEP_PROBE_PORT";
/// How many probes there are.
const PROBES: usize = 13;

/// A role by its word; `paths` is what a configuration would add.
fn role(word: &str, own: &Path, port: u16) -> Option<Role> {
    let (own, none) = (own.to_owned(), Vec::new());
    match word {
        "gate" => Some(Role::Gate(own)),
        "softhsm" => Some(Role::SoftHsm { tokens: own, paths: none }),
        "softhsm-paths" => Some(Role::SoftHsm { tokens: "/nonexistent".into(), paths: vec![own] }),
        "generic" => Some(Role::Generic(none)),
        "generic-paths" => Some(Role::Generic(vec![own])),
        "usb" => Some(Role::Usb(none)),
        "connector" => Some(Role::Connector { port, paths: none }),
        "connector-elsewhere" => Some(Role::Connector { port: port ^ 1, paths: none }),
        word => {
            assert_eq!(word, "none");
            None
        }
    }
}

/// The child's part; nothing in the parent.
#[test]
fn probe() {
    let Ok(word) = std::env::var(ROLE) else { return };
    let home = PathBuf::from(std::env::var_os(HOME).unwrap());
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    let (own, other) = (home.join("mine"), home.join("theirs"));
    let parent: Pid = getppid().unwrap();
    // A child of our own, because not every system lets a process trace its elders. It ends with us.
    let mut idle = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let tracee = TracedPid::from_raw(i32::try_from(idle.id()).unwrap());
    if let Some(role) = role(&word, &own, port) {
        confine(&role, Sandbox::Required).unwrap();
    }
    let probes: [(&str, bool); PROBES] = [
        ("read-own", File::open(own.join("own")).is_ok()),
        ("write-own", File::create(own.join("new")).is_ok()),
        // As the ledger does when a file of it is full.
        ("link-own", std::fs::hard_link(own.join("own"), own.join("linked")).is_ok()),
        ("read-other", File::open(&other).is_ok()),
        ("write-other", File::options().append(true).open(&other).is_ok()),
        ("read-settings", File::open("/etc/passwd").is_ok()),
        ("run", Command::new("/bin/true").status().is_ok()),
        ("udp", UdpSocket::bind("127.0.0.1:0").is_ok()),
        ("tcp", TcpListener::bind("127.0.0.1:0").is_ok()),
        ("tcp-connect", TcpStream::connect(("127.0.0.1", port)).is_ok()),
        ("connect", UnixStream::connect(other.with_file_name("socket")).is_ok()),
        ("signal", test_kill_process(parent).is_ok()),
        ("ptrace", ptrace::seize(tracee, ptrace::Options::empty()).is_ok()),
    ];
    for (name, done) in probes {
        println!("\nprobe {name} {}", if done { "done" } else { "refused" });
    }
    drop(idle.stdin.take());
    // A sandbox may refuse to wait for it.
    let _ended = idle.wait();
}

/// Runs a test of this program in a child, with variables of ours.
fn in_child(test: &str, variables: &[(&str, &str)]) -> (String, String) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture", "--test-threads=1"]).envs(variables.iter().copied());
    let ran = child.output().unwrap();
    let [stdout, stderr] = [ran.stdout, ran.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(ran.status.success(), "{variables:?}: {stdout}{stderr}");
    (stdout, stderr)
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
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let (text, stderr) =
        in_child("probe", &[(ROLE, role), (HOME, home.path().to_str().unwrap()), (PORT, &port)]);
    let results: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("probe ")).collect();
    assert_eq!(results.len(), PROBES, "{role}: {text}{stderr}");
    results.into_iter().filter_map(|line| line.strip_suffix(" done")).map(str::to_owned).collect()
}

#[test]
fn without_a_sandbox_every_probe_succeeds() {
    assert_eq!(done("none").len(), PROBES);
}

#[test]
fn the_gate_can_use_its_own_directory_and_nothing_else() {
    assert_eq!(done("gate"), ["read-own", "write-own", "link-own"]);
}

#[test]
fn a_vault_with_softhsm_can_read_its_tokens_and_nothing_else() {
    assert_eq!(done("softhsm"), ["read-own"]);
}

#[test]
fn a_path_of_the_configuration_can_be_used_and_nothing_else() {
    assert_eq!(done("softhsm-paths"), ["read-own", "write-own"]);
    assert_eq!(done("generic-paths"), ["read-own", "write-own", "link-own", "read-settings", "connect"]);
}

#[test]
fn a_vault_with_another_module_runs_nothing_and_has_no_network() {
    assert_eq!(done("generic"), ["read-settings", "connect"]);
}

#[test]
fn a_vault_with_a_device_on_usb_has_no_socket_and_no_settings() {
    assert_eq!(done("usb"), Vec::<String>::new());
}

#[test]
fn a_vault_with_a_connector_reaches_its_port_and_nothing_else() {
    assert_eq!(done("connector"), ["tcp-connect"]);
    assert_eq!(done("connector-elsewhere"), Vec::<String>::new());
}

/// Set in the child: what the kernel seems not to have.
const LACKING: &str = "ONIONKEEP_PROBE_LACKING";

/// Makes a call unknown to this process, as it is to an older kernel.
fn unknown(call: i64) {
    let rules = [(call, Vec::new())].into_iter().collect();
    let absent = SeccompAction::Errno(u32::try_from(rustix::io::Errno::NOSYS.raw_os_error()).unwrap());
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, absent, architecture).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

/// The child's part on a kernel without something; nothing in the parent.
#[test]
fn older_kernel() {
    let Ok(lacking) = std::env::var(LACKING) else { return };
    let home = tempfile::tempdir().unwrap();
    let (own, other) = (home.path().join("mine"), home.path().join("theirs"));
    std::fs::create_dir(&own).unwrap();
    std::fs::write(&other, "theirs").unwrap();
    match lacking.as_str() {
        "landlock" => unknown(libc::SYS_landlock_create_ruleset),
        "seccomp" | "seccomp-generic" => unknown(libc::SYS_seccomp),
        word => assert_eq!(word, "nothing"),
    }
    let wanted = if std::env::var_os(HOME).is_some() { Sandbox::Required } else { Sandbox::IfPossible };
    let role = if lacking.ends_with("generic") { Role::Generic(Vec::new()) } else { Role::Gate(own) };
    println!("\nconfined {:?}", confine(&role, wanted));
    println!("\nrun {}", Command::new("/bin/true").status().is_ok());
    println!("\nfile {}", File::open(&other).is_ok());
    println!("\nsocket {}", UdpSocket::bind("127.0.0.1:0").is_ok());
}

/// What the child says on such a kernel: its answer, whether it could open a file and a socket, and its log.
fn on_kernel_without(what: &str, wanted: Sandbox) -> (String, bool, bool, String) {
    let mut variables = vec![(LACKING, what)];
    variables.extend((wanted == Sandbox::Required).then_some((HOME, "required")));
    let (text, log) = in_child("older_kernel", &variables);
    let word = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found.unwrap().to_owned()
    };
    (word("confined"), word("file") == "true", word("socket") == "true", log)
}

#[test]
fn a_kernel_without_landlock_or_seccomp_is_refused_with_the_name_of_what_it_lacks() {
    for what in ["landlock", "seccomp"] {
        let (answer, ..) = on_kernel_without(what, Sandbox::Required);
        assert!(answer.starts_with(&format!("Err(\"{what}: ")), "{answer}");
    }
    let (answer, file, socket, _log) = on_kernel_without("nothing", Sandbox::Required);
    assert_eq!((answer.as_str(), file, socket), ("Ok(())", false, false));
}

#[test]
fn no_profile_lets_a_module_run_a_program_not_even_by_landlock_alone() {
    let (text, _log) = in_child("older_kernel", &[(LACKING, "seccomp-generic")]);
    assert!(text.contains("\nconfined Ok(())\n") && text.contains("\nrun false\n"), "{text}");
    let (text, _log) = in_child("older_kernel", &[(LACKING, "landlock")]);
    assert!(text.contains("\nrun false\n"), "seccomp refuses it too: {text}");
}

#[test]
fn if_possible_warns_and_uses_what_the_kernel_has() {
    let warns = |log: &str, what: &str| {
        log.lines().any(|line| line.contains(" warn not-in-a-sandbox role=gate ") && line.contains(what))
    };
    let (answer, file, socket, log) = on_kernel_without("landlock", Sandbox::IfPossible);
    assert_eq!((answer.as_str(), file, socket), ("Ok(())", true, false));
    assert!(warns(&log, "landlock: "), "{log}");
    let (answer, file, socket, log) = on_kernel_without("seccomp", Sandbox::IfPossible);
    assert_eq!((answer.as_str(), file, socket), ("Ok(())", false, true));
    assert!(warns(&log, "seccomp: "), "{log}");
    let (answer, file, socket, log) = on_kernel_without("nothing", Sandbox::IfPossible);
    assert_eq!((answer.as_str(), file, socket), ("Ok(())", false, false));
    assert!(!log.contains("not-in-a-sandbox"), "{log}");
}
