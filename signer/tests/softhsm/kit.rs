//! A throw-away token and a signer's configuration; the only place here that knows SoftHSM's files.

use cryptoki::context::Pkcs11;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use onionkeep_common::OnionAddress;
use onionkeep_signer::pin::PinSource;
use onionkeep_signer::seal::TokenName;
use onionkeep_signer::token::TokenError;
use onionkeep_signer::token::pkcs11::{Access, Pkcs11Token};
use ran::{Ran, first_word, output};
use serving::{HALF_DAY, Serving, clear_of};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

// The benchmarks take this file by its path; so it says where the rest of it is.
#[path = "kit/ran.rs"]
pub(crate) mod ran;
#[path = "kit/serving.rs"]
pub(crate) mod serving;

/// Set in a child that runs one test with a token of its own; the library reads its configuration once per process.
const CHILD: &str = "ONIONKEEP_SOFTHSM_HOME";
/// Where the module usually is.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];
/// The user PIN.
pub(crate) const PIN: &str = "71939-user";
/// The security officer's PIN.
pub(crate) const SO_PIN: &str = "40815162";
/// The token's label.
pub(crate) const LABEL: &str = "onionkeep";

/// The PKCS#11 module, or `None` after saying that the test is skipped.
fn module(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("TEST_PKCS11_MODULE").map(PathBuf::from);
    let found = named.or_else(|| MODULES.iter().map(PathBuf::from).find(|path| path.exists()));
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "softhsm2 is not installed");
        println!("skipped: {test}: softhsm2 is not installed");
    }
    found
}

/// A kit in an empty directory, for a program of its own.
pub(crate) fn fresh(home: &Path) -> Option<Kit> {
    let kit = Kit { home: home.to_owned(), module: module("the measurement")? };
    kit.write_files();
    Some(kit)
}

/// Runs `body` in a child process whose SoftHSM has one empty directory for tokens.
pub(crate) fn in_child(test: &str, body: fn(Kit)) {
    let Some(module) = module(test) else { return };
    if let Some(home) = std::env::var_os(CHILD) {
        return body(Kit { home: home.into(), module });
    }
    let home = tempfile::tempdir().unwrap();
    let kit = Kit { home: home.path().to_owned(), module };
    kit.write_files();
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, home.path())
        .env("SOFTHSM2_CONF", kit.conf())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{text}");
    text.lines().filter(|line| line.contains("skipped: ")).for_each(|line| println!("{line}"));
    assert!(text.contains("1 passed"), "the child ran no test: {text}");
}

/// A directory with a token, PIN files, state and configuration.
pub(crate) struct Kit {
    /// The directory.
    pub(crate) home: PathBuf,
    /// The PKCS#11 module.
    pub(crate) module: PathBuf,
}

impl Kit {
    /// A kit whose files are there already.
    pub(crate) fn at(home: &Path) -> Self {
        Self { home: home.to_owned(), module: module("the measurement").unwrap() }
    }

    fn write_files(&self) {
        // Whatever the umask is.
        std::fs::set_permissions(&self.home, PermissionsExt::from_mode(0o755)).unwrap();
        for dir in ["tokens", "state"] {
            std::fs::create_dir(self.home.join(dir)).unwrap();
            std::fs::set_permissions(self.home.join(dir), PermissionsExt::from_mode(0o700)).unwrap();
        }
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            self.tokens().display()
        );
        std::fs::write(self.conf(), conf).unwrap();
        self.write_pin(PIN);
        write_secret(&self.home.join("so-pin"), SO_PIN);
        self.write_config(None, &[], &self.module);
    }

    fn conf(&self) -> PathBuf {
        self.home.join("softhsm2.conf")
    }

    pub(crate) fn tokens(&self) -> PathBuf {
        self.home.join("tokens")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.home.join("state")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.join("s.sock")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    pub(crate) fn write_pin(&self, pin: &str) {
        write_secret(&self.home.join("pin"), pin);
    }

    /// Writes the configuration; all onions are for our own uid.
    pub(crate) fn write_config(&self, serial: Option<&str>, onions: &[OnionAddress], module: &Path) {
        let home = self.home.display();
        let uid = rustix::process::getuid().as_raw();
        let mut text = format!(
            "state_dir = \"{home}/state\"\nsocket = \"{home}/s.sock\"\nmemory_lock = \"if-possible\"\n[token]\n\
             module = \"{}\"\nlabel = \"{LABEL}\"\npin = \"file:{home}/pin\"\nso_pin = \"file:{home}/so-pin\"\n",
            module.display()
        );
        if let Some(serial) = serial {
            text.push_str(&format!("serial = \"{serial}\"\n"));
        }
        for onion in onions {
            text.push_str(&format!("[[onion]]\naddress = \"{onion}\"\nuid = {uid}\n"));
        }
        write_open(&self.home.join("signer.toml"), &text);
    }

    /// The same kit with a copy of the module that no process of another test has loaded.
    pub(crate) fn with_own_module(self) -> Self {
        let module = self.home.join(self.module.file_name().unwrap());
        std::fs::copy(&self.module, &module).unwrap();
        std::fs::set_permissions(&module, PermissionsExt::from_mode(0o644)).unwrap();
        let kit = Self { module, ..self };
        kit.write_config(None, &[], &kit.module);
        kit
    }

    /// Adds lines to `[token]`, the last table of a configuration without onions.
    pub(crate) fn append(&self, lines: &str) {
        let path = self.home.join("signer.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text + lines).unwrap();
    }

    /// A command of the signer.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of("signer.toml", arguments)
    }

    /// A command of the signer with another configuration.
    pub(crate) fn command_of(&self, config: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onionkeep-signer"));
        command.env("SOFTHSM2_CONF", self.conf()).arg("--config").arg(self.home.join(config));
        command.args(arguments);
        command
    }

    /// Runs a command of the signer to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(output(self.command(arguments)))
    }

    /// `token init`; the serial goes into the configuration.
    pub(crate) fn init(&self) -> TokenName {
        let text = self.run(&["token", "init"]).good();
        let serial = text.lines().find_map(|line| line.strip_prefix("serial = \"")).unwrap();
        let serial = serial.trim_end_matches('"').to_owned();
        self.write_config(Some(&serial), &[], &self.module);
        TokenName { label: LABEL.to_owned(), serial }
    }

    /// `token init`, `init` and `key new`; the onion goes into the configuration.
    pub(crate) fn init_with_key(&self) -> (TokenName, OnionAddress) {
        clear_of(HALF_DAY);
        let name = self.init();
        self.run(&["init"]).good();
        let onion = first_word(&self.run(&["key", "new"]).good()).parse().unwrap();
        self.write_config(Some(&name.serial), &[onion], &self.module);
        (name, onion)
    }

    /// Opens the token in this process.
    pub(crate) fn open(&self, name: &TokenName, access: Access) -> Result<Pkcs11Token, TokenError> {
        let pin = PinSource::File(self.home.join("pin")).read("PIN").unwrap();
        Pkcs11Token::open(&self.module, name.clone(), pin, access)
    }

    /// The library as the token under test has loaded it, for going behind its back.
    pub(crate) fn behind(&self) -> Pkcs11 {
        Pkcs11::new(&self.module).unwrap()
    }

    /// Starts `serve` and waits for its socket.
    pub(crate) fn serve(&self) -> Serving {
        self.serve_with(self.command(&["serve"]))
    }

    /// Starts a command that serves and waits until it does: the socket alone is there before the gate has hardened and
    /// started its books, and a token that is taken away before that makes a failed start.
    pub(crate) fn serve_with(&self, mut command: Command) -> Serving {
        let log = std::fs::File::create(self.home.join("log")).unwrap();
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(self.socket()).is_err() || !self.log().contains(" listening ") {
            assert!(child.try_wait().unwrap().is_none(), "it ended: {}", self.log());
            assert!(Instant::now() < deadline, "no socket after 20 s: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Serving { child, socket: self.socket() }
    }
}

/// A file that only its owner can read.
fn write_secret(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// A file that everybody can read and only its owner can write, whatever the umask is.
pub(crate) fn write_open(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
}

/// The slot of the token with this serial.
pub(crate) fn slot(library: &Pkcs11, name: &TokenName) -> Slot {
    let slots = library.get_slots_with_token().unwrap();
    let fits = |slot: &Slot| library.get_token_info(*slot).unwrap().serial_number() == name.serial;
    slots.into_iter().find(fits).unwrap()
}

/// A session behind the back of the token under test; logged in as it is.
pub(crate) fn session(library: &Pkcs11, name: &TokenName) -> Session {
    library.open_rw_session(slot(library, name)).unwrap()
}

/// Logs a session in, if nobody in this process is.
pub(crate) fn log_in(session: &Session, pin: &str) {
    session.login(UserType::User, Some(&pin.to_owned().into())).unwrap();
}

/// The root keys.
pub(crate) fn roots(session: &Session) -> Vec<ObjectHandle> {
    session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)]).unwrap()
}
