//! The real `systemd-creds` with a host secret of the test's own, and pretended ones that refuse, hang or say nothing.

use super::*;
use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What the tests of a thread run, where its host secret is, and which TPM the machine has.
struct Setting {
    program: PathBuf,
    secret: PathBuf,
    tpm: String,
}

thread_local! {
    static SETTING: RefCell<Setting> = RefCell::new(Setting {
        program: PathBuf::from(PROGRAM),
        secret: PathBuf::from("/nowhere/secret"),
        tpm: "device:/nowhere".to_owned(),
    });
}

/// The program as the tests of this thread have set it.
pub(super) fn program() -> Command {
    SETTING.with_borrow(|setting| {
        let mut command = Command::new(&setting.program);
        command.env("SYSTEMD_CREDENTIAL_SECRET", &setting.secret).env("SYSTEMD_TPM2_DEVICE", &setting.tpm);
        command
    })
}

/// The machine's secret is in `folder` from now on, in this thread; false with the reason on standard output if nothing can
/// be sealed here.
pub(crate) fn machine(folder: &Path) -> bool {
    SETTING.with_borrow_mut(|setting| setting.secret = folder.join("secret"));
    let tried = seal(b"a try", Seal::Host, "try");
    if let Err(why) = &tried {
        println!("SKIPPED: nothing can be sealed by this machine's key: {why}");
    }
    tried.is_ok()
}

/// From now on the program is this script, in this thread.
fn pretend(folder: &Path, script: &str) {
    // Copied by another process: a file that this one has open for writing cannot be run while a child of another test has it too.
    let (text, path) = (folder.join("script"), folder.join("pretended"));
    std::fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
    assert!(Command::new("cp").args([&text, &path]).status().unwrap().success());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    SETTING.with_borrow_mut(|setting| setting.program = path);
}

#[test]
fn what_is_sealed_opens_under_its_name_and_on_its_machine_only() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    if !machine(here.path()) {
        return;
    }
    let sealed = seal(b"the private half", Seal::Host, "slot-1").unwrap();
    assert!(!sealed.contains("private") && !sealed.contains(char::is_whitespace));
    assert_eq!(**open(&sealed, "slot-1").unwrap(), *b"the private half");
    let refused = |result: Result<Zeroizing<Vec<u8>>, SealError>| {
        let error = result.unwrap_err();
        assert!(matches!(error, SealError::Refused { act: Act::Open, .. }), "{error}");
        assert!(error.advice().contains("emergency bundle"));
    };
    refused(open(&sealed, "slot-2"));
    let half = sealed.len() / 2;
    let altered: String = sealed
        .chars()
        .enumerate()
        .map(|(at, letter)| if at == half { if letter == 'A' { 'B' } else { 'A' } } else { letter })
        .collect();
    refused(open(&altered, "slot-1"));
    refused(open(sealed.split_at(half / 4 * 4).0, "slot-1"));
    assert!(machine(there.path()));
    refused(open(&sealed, "slot-1"));
}

/// A TPM in software with its state in a folder, on a port and the next one.
struct Tpm(Child);

impl Tpm {
    fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        // Two free ports beside each other, as the library wants them.
        let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        let start = 20_000 + u16::try_from(std::process::id() % 20_000).unwrap();
        let port = (start..).step_by(2).find(|port| free(*port) && free(port + 1)).unwrap();
        let tcp = |port: u16| format!("type=tcp,port={port}");
        let state = format!("dir={}", folder.display());
        let mut command = Command::new("swtpm");
        command.args([
            "socket",
            "--tpm2",
            "--tpmstate",
            &state,
            "--server",
            &tcp(port),
            "--ctrl",
            &tcp(port + 1),
        ]);
        let child =
            command.args(["--flags", "not-need-init,startup-clear"]).stderr(Stdio::null()).spawn().unwrap();
        SETTING.with_borrow_mut(|setting| setting.tpm = format!("swtpm:host=127.0.0.1,port={port}"));
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < DEADLINE, "swtpm does not listen");
            sleep(POLL);
        }
        Self(child)
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn what_a_tpm_seals_opens_after_a_restart_and_with_no_other_tpm() {
    let folder = tempfile::tempdir().unwrap();
    let library = std::fs::exists("/usr/lib/x86_64-linux-gnu/libtss2-tcti-swtpm.so.0").unwrap();
    if !library || Command::new("swtpm").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("SKIPPED: the packages swtpm and libtss2-tcti-swtpm0 are not installed");
        return;
    }
    if !machine(folder.path()) {
        return;
    }
    let (own, other) = (folder.path().join("own"), folder.path().join("other"));
    // Few acts a start, for nothing between the library and this TPM frees its sessions; and one start more, for a TPM that is
    // ended like this counts it as a wrong try, and three lock it.
    let tpm = Tpm::start(&own);
    let sealed = seal(b"the private half", Seal::Tpm2, "slot-1").unwrap();
    assert_eq!(**open(&sealed, "slot-1").unwrap(), *b"the private half");
    drop(tpm);
    let none = open(&sealed, "slot-1").unwrap_err();
    assert!(matches!(none, SealError::Refused { act: Act::Open, .. }), "{none}");
    let again = Tpm::start(&own);
    assert_eq!(**open(&sealed, "slot-1").unwrap(), *b"the private half");
    drop(again);
    let _stranger = Tpm::start(&other);
    assert!(open(&sealed, "slot-1").is_err(), "another TPM opens it");
}

#[test]
fn a_program_that_is_missing_refuses_or_answers_nothing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    pretend(folder.path(), "echo 'first words' >&2; echo 'no TPM\t here' >&2; exit 1");
    let error = seal(b"x", Seal::Tpm2, "slot-1").unwrap_err();
    assert_eq!(error.to_string(), "cannot seal a slot's key: systemd-creds says: no TPM here");
    assert!(error.advice().contains("another --seal"));
    pretend(folder.path(), "cat >/dev/null");
    assert!(matches!(seal(b"x", Seal::Host, "slot-1"), Err(SealError::Refused { act: Act::Seal, .. })));
    SETTING.with_borrow_mut(|setting| setting.program = folder.path().join("none"));
    let error = open("AAAA", "slot-1").unwrap_err();
    assert!(matches!(error, SealError::Program { .. }) && error.advice().contains("--seal plain"), "{error}");
}

#[test]
fn a_program_that_hangs_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    pretend(folder.path(), &format!("echo $$ > {}; exec sleep 1000", pid.display()));
    let error = seal(b"x", Seal::Host, "slot-1").unwrap_err();
    assert!(matches!(error, SealError::Late { act: Act::Seal }), "{error}");
    let pid = std::fs::read_to_string(pid).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "it still runs");
}

#[test]
fn words_and_versions_are_read() {
    for seal in Seal::ALL {
        assert_eq!(seal.name().parse(), Ok(seal));
    }
    assert!("TPM".parse::<Seal>().is_err());
    for (text, version) in [
        ("systemd 252 (252.39-1~deb12u2)\n+PAM", Some(252)),
        ("systemd 257.4 (257.4-1)", Some(257)),
        ("systemd 258~rc1-1 (x)", Some(258)),
        ("nonsense", None),
    ] {
        assert_eq!(version_of(text), version, "{text}");
    }
}
