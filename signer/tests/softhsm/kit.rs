//! A throw-away token and a signer's configuration; the only place here that knows SoftHSM's files.

use cryptoki::context::Pkcs11;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::wire::frame::Header;
use onionkeep_common::wire::{CertifyRequest, HEADER_LEN, Proof, Reply};
use onionkeep_common::{DescSigningKey, OnionAddress, PeriodNumber, PeriodRule, Signature, UnixTime};
use onionkeep_signer::clock::{Clock, SystemClock};
use onionkeep_signer::pin::PinSource;
use onionkeep_signer::seal::TokenName;
use onionkeep_signer::token::TokenError;
use onionkeep_signer::token::pkcs11::{Access, Pkcs11Token};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

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
        std::fs::write(self.home.join("signer.toml"), text).unwrap();
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

/// A signer that serves, all three processes of it; killed when dropped.
pub(crate) struct Serving {
    /// The keeper.
    pub(crate) child: Child,
    socket: PathBuf,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let children = self.children();
        let _already_ended = self.child.kill();
        let _status = self.child.wait();
        children.into_iter().for_each(wait_gone);
    }
}

/// Waits until a process is no more, or is only waited for.
pub(crate) fn wait_gone(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_name, rest)| !rest.starts_with(" Z"))
    };
    while is_there() {
        assert!(Instant::now() < deadline, "process {pid} does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Serving {
    /// Sends a signal to the keeper and waits for the end of all.
    pub(crate) fn signal(mut self, signal: rustix::process::Signal) -> Option<i32> {
        let children = self.children();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
        let code = wait(&mut self.child).code();
        children.into_iter().for_each(wait_gone);
        code
    }

    /// The processes that the keeper has started and that run.
    pub(crate) fn children(&self) -> Vec<u32> {
        let pid = self.child.id();
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// The process with this role, `gate` or `vault`; waits for it.
    pub(crate) fn role(&self, role: &str) -> u32 {
        let deadline = Instant::now() + Duration::from_secs(10);
        let has_role = |pid: &u32| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.split(|octet| *octet == 0).any(|word| word == role.as_bytes())
        };
        loop {
            if let Some(pid) = self.children().into_iter().find(has_role) {
                return pid;
            }
            assert!(Instant::now() < deadline, "there is no {role}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Keeper, gate and vault.
    pub(crate) fn all(&self) -> [u32; 3] {
        [self.child.id(), self.role("gate"), self.role("vault")]
    }

    /// Sends a signal to one of them.
    pub(crate) fn strike(&self, role: &str, signal: rustix::process::Signal) -> u32 {
        let pid = self.role(role);
        let target = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(target, signal).unwrap();
        pid
    }

    /// Asks for a certificate with the key of `seed` for the current period.
    pub(crate) fn ask(&self, onion: OnionAddress, seed: u8) -> Reply {
        ask(&self.socket, &request(onion, seed, 0))
    }
}

impl Serving {
    /// Asks again as long as the answer is that the token is away; for at most 20 s.
    pub(crate) fn ask_until_answered(&self, onion: OnionAddress, seed: u8) -> Reply {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let reply = self.ask(onion, seed);
            if !matches!(reply, Reply::Away { .. }) || Instant::now() > deadline {
                return reply;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A request for the period `ahead` of the current one, with a key that depends on `seed` alone.
pub(crate) fn request(onion: OnionAddress, seed: u8, ahead: u64) -> CertifyRequest {
    signed(onion, &SigningKey::from_bytes(&[seed; 32]), ahead)
}

/// A request for the period `ahead` of the current one, with a key that no other onion has.
pub(crate) fn keyed(onion: OnionAddress, seed: u8, ahead: u64) -> CertifyRequest {
    let mut secret = *onion.identity().as_bytes();
    secret[0] = seed;
    signed(onion, &SigningKey::from_bytes(&secret), ahead)
}

/// A request with a proof by `secret`.
fn signed(onion: OnionAddress, secret: &SigningKey, ahead: u64) -> CertifyRequest {
    let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
    let period = PeriodNumber(PeriodRule::PUBLIC.number_at(now()).0 + ahead);
    let onion = *onion.identity();
    let proof = secret.sign(Proof::new(&onion, period, 1440, &key).as_bytes());
    CertifyRequest { onion, period, length: 1440, key, proof: Signature(proof.to_bytes()) }
}

/// The time now.
pub(crate) fn now() -> UnixTime {
    SystemClock.now()
}

/// Asks once over a new connection.
pub(crate) fn ask(socket: &Path, request: &CertifyRequest) -> Reply {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.to_frame().as_bytes()).unwrap();
    let mut head = [0; HEADER_LEN];
    stream.read_exact(&mut head).unwrap();
    let header = Header::parse(head).unwrap();
    let mut content = vec![0; header.content_len];
    stream.read_exact(&mut content).unwrap();
    Reply::parse(header.kind, &content).unwrap()
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
