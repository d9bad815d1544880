//! Two publishers on bundles and one token: a ledger for each on the ceremony's machine, and so an enrolled publisher and a chain for each.

use onionkeep_tests::daemon::{Ran, built};
use onionkeep_tests::{clock, softhsm};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Some backend.
const BACKEND: &str = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion";
/// The names of both: of a publisher, and of the ledger that it is enrolled in.
const BOTH: [&str; 2] = ["a", "b"];

/// The ceremony's machine and both publishers', with one folder for all.
struct Desk {
    dir: tempfile::TempDir,
    onion: String,
}

impl Desk {
    /// One token, one key, two ledgers, two publishers.
    fn new() -> Self {
        let mut desk = Self { dir: tempfile::tempdir().unwrap(), onion: String::new() };
        std::fs::create_dir(desk.path("tokens")).unwrap();
        let tokens = desk.path("tokens").display().to_string();
        let conf =
            format!("directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n");
        std::fs::write(desk.path("softhsm2.conf"), conf).unwrap();
        for (name, pin) in [("pin", "71939-user"), ("so-pin", "40815162")] {
            std::fs::write(desk.path(name), pin).unwrap();
            std::fs::set_permissions(desk.path(name), PermissionsExt::from_mode(0o400)).unwrap();
        }
        for name in BOTH {
            std::fs::create_dir(desk.path(&format!("ledger-{name}"))).unwrap();
            std::fs::set_permissions(desk.path(&format!("ledger-{name}")), PermissionsExt::from_mode(0o700))
                .unwrap();
            desk.write_signer(name, "");
        }
        let said = desk.signer("a", &["token", "init"]).answer().unwrap();
        let serial = format!("{}\n", said.lines().find(|line| line.starts_with("serial = ")).unwrap());
        desk.write_signer("a", &serial);
        desk.signer("a", &["init"]).answer().unwrap();
        let said = desk.signer("a", &["key", "new"]).answer().unwrap();
        said.split_whitespace().next().unwrap().clone_into(&mut desk.onion);
        let onion = format!("{serial}[[onion]]\naddress = \"{}\"\nuid = 12345\n", desk.onion);
        BOTH.iter().for_each(|name| desk.write_signer(name, &onion));
        // The second ledger, and nothing else: token, audit key and sealed key are there.
        desk.signer("b", &["init"]).answer().unwrap();
        BOTH.iter().for_each(|name| desk.write_publisher(name));
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write_signer(&self, name: &str, rest: &str) {
        let (dir, module) = (self.dir.path().display(), softhsm::module().unwrap());
        let text = format!(
            "state_dir = \"{dir}/ledger-{name}\"\nsocket = \"{dir}/{name}.sock\"\nmemory_lock = \"if-possible\"\n[token]\n\
             module = \"{}\"\nlabel = \"one\"\npin = \"file:{dir}/pin\"\nso_pin = \"file:{dir}/so-pin\"\n{rest}",
            module.display()
        );
        std::fs::write(self.path(&format!("signer-{name}.toml")), text).unwrap();
    }

    fn write_publisher(&self, name: &str) {
        let (dir, onion) = (self.dir.path().display(), &self.onion);
        let text = format!(
            "state_dir = \"{dir}/state-{name}\"\nstatus_socket = \"{dir}/state-{name}/status.sock\"\n[tor]\ncontrol = \"127.0.0.1:9051\"\n\
             [[service]]\naddress = \"{onion}\"\nbundles = true\n[[service.backend]]\nname = \"b1\"\naddress = \"{BACKEND}\"\n"
        );
        std::fs::write(self.path(&format!("publisher-{name}.toml")), text).unwrap();
    }

    fn run(&self, program: &str, config: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new(built(program).unwrap());
        command.current_dir(self.dir.path()).env("SOFTHSM2_CONF", self.path("softhsm2.conf"));
        command.arg("--config").arg(Path::new(config)).args(arguments);
        Ran::of(command).unwrap()
    }

    fn signer(&self, ledger: &str, arguments: &[&str]) -> Ran {
        self.run("onionkeep-signer", &format!("signer-{ledger}.toml"), arguments)
    }

    fn publisher(&self, name: &str, arguments: &[&str]) -> Ran {
        self.run("onionkeep-publisher", &format!("publisher-{name}.toml"), arguments)
    }

    /// Enrols a publisher in a ledger.
    fn enrol(&self, publisher: &str, ledger: &str) {
        let key = self.publisher(publisher, &["request", "key", "--onion", &self.onion]).answer().unwrap();
        let (hex, words) = key.trim().split_once('\n').unwrap();
        let enrol = ["request", "enrol", "--onion", &self.onion, "--key", hex, "--heard", words];
        self.signer(ledger, &enrol).answer().unwrap();
    }

    /// A publisher's request for four periods, and its words.
    fn request(&self, publisher: &str, file: &str) -> String {
        let new = ["request", "new", "--onion", &self.onion, "--periods", "4", "-o", file];
        let said = self.publisher(publisher, &new).answer().unwrap();
        said.lines().find_map(|line| line.trim().strip_prefix("words: ")).unwrap().to_owned()
    }

    /// Issues what a request asks for.
    fn issue(&self, ledger: &str, file: &str, heard: &str, rest: &[&str]) -> Ran {
        let watch: String = clock::tor_time(clock::unix_now()).chars().take(13).collect();
        let bundle = format!("{file}.bundle");
        let issue = ["issue", file, "-o", &bundle, "--watch", &watch, "--heard", heard];
        self.signer(ledger, &[&issue[..], rest].concat())
    }
}

#[test]
fn each_publisher_has_its_ledger_and_both_take_bundle_after_bundle() {
    if softhsm::module().is_err() {
        return assert!(std::env::var_os("CI").is_none(), "softhsm2 is not installed");
    }
    let desk = Desk::new();
    BOTH.iter().for_each(|name| desk.enrol(name, name));
    for (round, rest) in [(1, &["--first"][..]), (2, &[])] {
        for name in BOTH {
            let file = format!("{name}{round}");
            let heard = desk.request(name, &file);
            desk.issue(name, &file, &heard, rest).answer().unwrap();
            let import = ["bundle", "import", &format!("{file}.bundle")];
            let said = desk.publisher(name, &import).answer().unwrap();
            assert!(said.contains(&format!("bundle main number {round}")), "{said}");
        }
    }
    let heads = BOTH.map(|name| desk.signer(name, &["audit", "verify"]).answer().unwrap());
    assert_ne!(heads[0], heads[1], "two ledgers, not one");
    // One ledger for both does not work: it knows one publisher at a time.
    let heard = desk.request("b", "b3");
    let ran = desk.issue("a", "b3", &heard, &[]);
    assert!(ran.code == 3 && ran.stderr.contains("req-enrolled"), "{ran:?}");
    desk.enrol("b", "a");
    let heard = desk.request("a", "a3");
    let ran = desk.issue("a", "a3", &heard, &[]);
    assert!(ran.code == 3 && ran.stderr.contains("req-enrolled"), "{ran:?}");
}
