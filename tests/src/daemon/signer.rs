//! The signer with its configuration, token and socket: the only place where `signer.toml` is written by the harness.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Programs, Ran, program};
use crate::fault_token::{self, FaultToken};
use crate::files;
use crate::process::{self, Process, SIGNER_SOCKET_GROUP, User};
use crate::softhsm::SoftHsm;
use crate::wait::{self, Seen};

/// The label of the token.
const LABEL: &str = "onionkeep-test";
/// The user PIN.
const PIN: &str = "71939";
/// The security officer's PIN.
const SO_PIN: &str = "40815162";
/// How long a start or an end may take on a machine that does ten other things.
const LIMIT: Duration = Duration::from_secs(60);

/// Which token it has.
enum Token {
    /// SoftHSM.
    SoftHsm(SoftHsm),
    /// The one that fails by a script.
    Fault(FaultToken),
}

impl Token {
    /// The PKCS#11 library.
    fn module(&self) -> &Path {
        match self {
            Self::SoftHsm(token) => token.module(),
            Self::Fault(token) => token.module(),
        }
    }

    /// The variable by which the library finds its files.
    fn variable(&self) -> (&'static str, PathBuf) {
        match self {
            Self::SoftHsm(token) => ("SOFTHSM2_CONF", token.config()),
            Self::Fault(token) => (fault_token::DIR_VARIABLE, token.dir().to_owned()),
        }
    }
}

/// A signer, running or not.
pub struct Signer {
    /// Where our programs are.
    programs: Programs,
    /// Configuration, PIN files, state, socket and log.
    dir: PathBuf,
    /// Its token.
    token: Token,
    /// Length and offset of a period in minutes on a network with short ones.
    period: Option<(u64, u64)>,
    /// The token's serial, once known.
    serial: Option<String>,
    /// Addresses (with `.onion`) and the uid that may ask for each.
    onions: Vec<(String, u32)>,
    /// The process, while it serves.
    process: Option<Process>,
}

impl Signer {
    /// Writes a configuration for a SoftHSM token that does not exist yet.
    pub fn new(run: &Path, programs: &Programs, period: Option<(u64, u64)>) -> Result<Self> {
        let token = SoftHsm::new(&run.join("token"))?;
        Self::with(run, programs, period, Token::SoftHsm(token))
    }

    /// The same for the token that fails by a script.
    pub fn with_fault_token(run: &Path, programs: &Programs) -> Result<Self> {
        let token = FaultToken::new(&run.join("token"))?;
        Self::with(run, programs, None, Token::Fault(token))
    }

    /// Writes directories, PINs and configuration.
    fn with(run: &Path, programs: &Programs, period: Option<(u64, u64)>, token: Token) -> Result<Self> {
        let dir = run.join("signer");
        files::make_dir(&dir, User::Signer, 0o755)?;
        files::make_dir(&dir.join("state"), User::Signer, 0o700)?;
        files::make_dir(&dir.join("run"), User::Signer, 0o755)?;
        files::write(&dir.join("pin"), PIN, User::Signer, 0o400)?;
        files::write(&dir.join("so-pin"), SO_PIN, User::Signer, 0o400)?;
        let signer = Self {
            programs: programs.clone(),
            dir,
            token,
            period,
            serial: None,
            onions: Vec::new(),
            process: None,
        };
        signer.write_config()?;
        Ok(signer)
    }

    /// The configuration as it should be now.
    #[must_use]
    pub fn config_text(&self) -> String {
        let dir = self.dir.display();
        let mut text = format!(
            "state_dir = \"{dir}/state\"\nsocket = \"{}\"\nsocket_mode = \"0660\"\n",
            self.socket().display()
        );
        if process::is_root() {
            text.push_str(&format!("socket_group = \"{SIGNER_SOCKET_GROUP}\"\n"));
        }
        if !process::can_lock_memory() {
            text.push_str("memory_lock = \"if-possible\"\n");
        }
        text.push_str(&format!(
            "\n[token]\nmodule = \"{}\"\nlabel = \"{LABEL}\"\n",
            self.token.module().display()
        ));
        if let Token::Fault(token) = &self.token {
            text.push_str(&format!("paths = [\"{}\"]\n", token.dir().display()));
        }
        if let Some(serial) = &self.serial {
            text.push_str(&format!("serial = \"{serial}\"\n"));
        }
        text.push_str(&format!("pin = \"file:{dir}/pin\"\nso_pin = \"file:{dir}/so-pin\"\n"));
        for (address, uid) in &self.onions {
            text.push_str(&format!("\n[[onion]]\naddress = \"{address}\"\nuid = {uid}\n"));
        }
        if let Some((length, offset)) = self.period {
            text.push_str(&format!("\n[period]\nlength_minutes = {length}\noffset_minutes = {offset}\n"));
        }
        text
    }

    /// Writes [`Signer::config_text`].
    pub fn write_config(&self) -> Result<()> {
        files::write(&self.config(), self.config_text(), User::Signer, 0o644)
    }

    /// `signer.toml`.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("signer.toml")
    }

    /// The socket it serves on.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("run/signer.sock")
    }

    /// Configuration, PIN files, state, socket and log are here.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its token, if that is a SoftHSM.
    #[must_use]
    pub fn token(&self) -> &SoftHsm {
        match &self.token {
            Token::SoftHsm(token) => token,
            Token::Fault(_) => panic!("this signer has the token that fails by a script"),
        }
    }

    /// Its token, if that is the one that fails by a script.
    #[must_use]
    pub fn fault(&self) -> &FaultToken {
        match &self.token {
            Token::Fault(token) => token,
            Token::SoftHsm(_) => panic!("this signer has a SoftHSM"),
        }
    }

    /// A command line of the signer on this configuration.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&self.programs, "onionkeep-signer", User::Signer);
        let (variable, path) = self.token.variable();
        command.env(variable, path);
        command.arg("--config").arg(self.config()).args(arguments);
        command
    }

    /// Runs a command line of the signer to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Ran> {
        Ran::of(self.command(arguments))
    }

    /// `token init`, and the printed serial goes into the configuration; `init`, unless there is a ledger already.
    pub fn init_token(&mut self) -> Result<()> {
        let serial = self.run(&["token", "init"])?.word("serial", |word| word.len() >= 8 && is_hex(word))?;
        self.serial = Some(serial);
        self.write_config()?;
        if !self.dir.join("state/ledger").exists() {
            self.run(&["init"])?.word("audit key", |word| word.contains(':'))?;
        }
        Ok(())
    }

    /// `key new`: the address of a new frontend identity.
    pub fn new_key(&self) -> Result<String> {
        self.run(&["key", "new"])?.word("onion address", |word| word.ends_with(".onion"))
    }

    /// `key import`: the address of an identity that existed before.
    pub fn import_key(&self, file: &Path) -> Result<String> {
        let path = file.to_str().context("odd path")?;
        self.run(&["key", "import", path])?.word("onion address", |word| word.ends_with(".onion"))
    }

    /// Writes another user PIN into the PIN file.
    pub fn write_pin(&self, pin: &str) -> Result<()> {
        let path = self.dir.join("pin");
        drop(std::fs::remove_file(&path));
        files::write(&path, pin, User::Signer, 0o400)
    }

    /// Writes the right user PIN into the PIN file.
    pub fn write_right_pin(&self) -> Result<()> {
        self.write_pin(PIN)
    }

    /// Label, user PIN and security officer's PIN, to make another token that looks the same.
    #[must_use]
    pub fn credentials(&self) -> (&'static str, &'static str, &'static str) {
        (LABEL, PIN, SO_PIN)
    }

    /// Names the serial in the configuration without asking the token.
    pub fn set_serial(&mut self, serial: Option<&str>) -> Result<()> {
        self.serial = serial.map(str::to_owned);
        self.write_config()
    }

    /// The serial in the configuration.
    #[must_use]
    pub fn serial(&self) -> Option<&str> {
        self.serial.as_deref()
    }

    /// Lets the publisher's user ask for `address`.
    pub fn allow(&mut self, address: &str) -> Result<()> {
        self.allow_uid(address, User::Publisher.uid())
    }

    /// Lets one uid ask for `address`.
    pub fn allow_uid(&mut self, address: &str, uid: u32) -> Result<()> {
        self.onions.push((address.to_owned(), uid));
        self.write_config()
    }

    /// Starts `serve` and waits for its socket.
    pub fn start(&mut self) -> Result<()> {
        self.start_as(self.command(&["serve"]))
    }

    /// The same with `outer` around it, such as a tracer; see [`process::wrapped`].
    pub fn start_under(&mut self, outer: Command) -> Result<()> {
        self.start_as(process::wrapped(outer, &self.command(&["serve"])))
    }

    /// Starts `command` and waits for the socket.
    fn start_as(&mut self, command: Command) -> Result<()> {
        let starts = || self.log().matches(" info listening ").count();
        let before = starts();
        let mut process = Process::start("the signer", command, &self.dir.join("log"))?;
        // The socket is there earlier: who connects then waits for the vault, and is cut off if it never comes.
        wait::until("the signer to serve", LIMIT, || {
            if let Err(error) = process.must_run() {
                return Ok(Seen::Hopeless(format!("{error:#}")));
            }
            let ready = starts() > before;
            Ok(if ready {
                Seen::Ready(())
            } else {
                Seen::NotYet(format!("its log ends:\n{}", process::tail(&self.log(), 8)))
            })
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it in good order.
    pub fn stop(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |process| process.stop(LIMIT).map(drop))
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Process::kill)
    }

    /// The running process.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the signer does not run")
    }

    /// Everything it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

/// Whether a word could be a serial number.
fn is_hex(word: &str) -> bool {
    word.bytes().all(|octet| octet.is_ascii_hexdigit())
}
