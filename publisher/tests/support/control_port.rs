//! A pretended control port in tor's format, for tests and benches: the only place that plays tor's side.
//!
//! It authenticates as tor does (or cheats to order), and answers each command with what a closure says.

use data_encoding::{HEXLOWER_PERMISSIVE, HEXUPPER};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// The cookie of every pretended tor.
pub(crate) const COOKIE: [u8; 32] = [0x11; 32];
/// The server's nonce.
const SERVER_NONCE: [u8; 32] = [0x33; 32];

/// What the port wants before it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// `SAFECOOKIE`, done right.
    SafeCookie,
    /// `SAFECOOKIE` by a server that does not know the cookie.
    Impostor,
    /// A password.
    Password(Vec<u8>),
    /// Nothing.
    Null,
    /// The bare cookie.
    PlainCookie,
    /// Answers the first command with these octets, then closes.
    Strange(Vec<u8>),
    /// Never answers anything.
    Mute,
}

/// One command as it came.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// The line.
    pub(crate) line: String,
    /// The data block as on the wire, for commands that start with `+`.
    pub(crate) data: String,
}

/// What to do about a command.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Write these octets.
    Raw(Vec<u8>),
    /// Write the first, then the second so often.
    Repeat(Vec<u8>, Vec<u8>, usize),
    /// Write these octets, then close the connection.
    Close(Vec<u8>),
    /// Nothing.
    Silence,
}

impl Answer {
    /// The octets of a text with `\n` for line ends.
    pub(crate) fn text(text: &str) -> Self {
        Self::Raw(text.replace('\n', "\r\n").into_bytes())
    }

    /// The value of a GETINFO `key` as a data block.
    pub(crate) fn block(key: &str, text: &str) -> Self {
        let mut wire = format!("250+{key}=\r\n").into_bytes();
        for line in text.lines() {
            wire.extend_from_slice(if line.starts_with('.') { b"." } else { b"" });
            wire.extend_from_slice(line.as_bytes());
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b".\r\n250 OK\r\n");
        Self::Raw(wire)
    }

    /// `250 OK`.
    pub(crate) fn ok() -> Self {
        Self::text("250 OK\n")
    }
}

/// What answers commands.
pub(crate) type Answers = Arc<dyn Fn(&Command) -> Answer + Send + Sync>;

/// A running control port; stops when dropped.
pub(crate) struct ControlPort {
    /// Where it listens, as the configuration writes it.
    pub(crate) address: String,
    /// Every command after authentication, `PROTOCOLINFO` and the authentication included.
    commands: Arc<Mutex<Vec<Command>>>,
    /// Octets for all connections.
    events: broadcast::Sender<Vec<u8>>,
    /// What it wants before it answers.
    auth: Arc<Mutex<Auth>>,
    /// Holds socket and cookie.
    folder: tempfile::TempDir,
    /// The listening task.
    task: JoinHandle<()>,
}

/// What all connections of one port share.
#[derive(Clone)]
struct Shared {
    auth: Arc<Mutex<Auth>>,
    cookie_file: PathBuf,
    answers: Answers,
    commands: Arc<Mutex<Vec<Command>>>,
    events: broadcast::Sender<Vec<u8>>,
}

impl Drop for ControlPort {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ControlPort {
    /// Listens on a Unix socket in a folder of its own.
    pub(crate) fn unix(auth: Auth, answers: impl Fn(&Command) -> Answer + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let listener = UnixListener::bind(&path).unwrap();
        Self::start(
            format!("unix:{}", path.display()),
            folder,
            auth,
            Arc::new(answers),
            |shared| async move {
                while let Ok((stream, _peer)) = listener.accept().await {
                    tokio::spawn(serve(stream, shared.clone()));
                }
            },
        )
    }

    /// Listens on a free port of 127.0.0.1.
    pub(crate) async fn tcp(
        auth: Auth,
        answers: impl Fn(&Command) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let folder = tempfile::tempdir().unwrap();
        Self::start(address, folder, auth, Arc::new(answers), |shared| async move {
            while let Ok((stream, _peer)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        })
    }

    /// Writes the cookie and starts the listening task.
    fn start<F: Future<Output = ()> + Send + 'static>(
        address: String,
        folder: tempfile::TempDir,
        auth: Auth,
        answers: Answers,
        listen: impl FnOnce(Shared) -> F,
    ) -> Self {
        let cookie_file = folder.path().join("control.authcookie");
        std::fs::write(&cookie_file, COOKIE).unwrap();
        let (events, _none) = broadcast::channel(1024);
        let (commands, auth) = (Arc::default(), Arc::new(Mutex::new(auth)));
        let shared = Shared {
            auth: Arc::clone(&auth),
            cookie_file,
            answers,
            commands: Arc::clone(&commands),
            events: events.clone(),
        };
        let task = tokio::spawn(listen(shared));
        Self { address, commands, events, auth, folder, task }
    }

    /// Wants something else of connections that are made from now on.
    pub(crate) fn want(&self, auth: Auth) {
        *self.auth.lock().unwrap() = auth;
    }

    /// The cookie file.
    pub(crate) fn cookie_file(&self) -> PathBuf {
        self.folder.path().join("control.authcookie")
    }

    /// Sends a text with `\n` for line ends to every authenticated connection.
    pub(crate) fn emit(&self, text: &str) {
        self.emit_raw(text.replace('\n', "\r\n").into_bytes());
    }

    /// Sends octets to every authenticated connection.
    pub(crate) fn emit_raw(&self, octets: Vec<u8>) {
        let _connections = self.events.send(octets);
    }

    /// The lines of all commands so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.commands.lock().unwrap().iter().map(|command| command.line.clone()).collect()
    }

    /// All commands so far.
    pub(crate) fn commands(&self) -> Vec<Command> {
        self.commands.lock().unwrap().clone()
    }
}

/// Serves one connection to its end.
async fn serve<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S, shared: Shared) {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read);
    let mut nonce = Vec::new();
    loop {
        let Some(command) = receive(&mut lines).await else { return };
        shared.commands.lock().unwrap().push(command.clone());
        let auth = shared.auth.lock().unwrap().clone();
        let (answer, done) = before(&command, &auth, &shared.cookie_file, &mut nonce);
        if !give(&mut write, answer).await {
            return;
        }
        if done {
            break;
        }
    }
    let mut events = shared.events.subscribe();
    loop {
        tokio::select! {
            command = receive(&mut lines) => {
                let Some(command) = command else { return };
                shared.commands.lock().unwrap().push(command.clone());
                if !give(&mut write, (shared.answers)(&command)).await {
                    return;
                }
            }
            event = events.recv() => {
                let Ok(event) = event else { return };
                if write.write_all(&event).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Reads one command; `None` at the end of the connection.
///
/// Not safe to drop half-way in general; the tests emit no events while they write a command.
pub(crate) async fn receive<R: AsyncRead + Unpin>(lines: &mut BufReader<R>) -> Option<Command> {
    let mut line = String::new();
    if lines.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let mut data = String::new();
    if line.starts_with('+') {
        while !data.ends_with("\r\n.\r\n") && data != ".\r\n" {
            if lines.read_line(&mut data).await.ok()? == 0 {
                return None;
            }
        }
    }
    Some(Command { line: line.trim_end().to_owned(), data })
}

/// Carries an answer out; false if the connection is to be closed.
async fn give(write: &mut (impl AsyncWrite + Unpin), answer: Answer) -> bool {
    match answer {
        Answer::Raw(octets) => write.write_all(&octets).await.is_ok(),
        Answer::Repeat(head, piece, times) => {
            let mut good = write.write_all(&head).await.is_ok();
            for _time in 0..times {
                good = good && write.write_all(&piece).await.is_ok();
            }
            good
        }
        Answer::Close(octets) => {
            let _gone = write.write_all(&octets).await;
            let _gone = write.shutdown().await;
            false
        }
        Answer::Silence => true,
    }
}

/// What tor answers before authentication, and whether the connection is authenticated now.
pub(crate) fn before(
    command: &Command,
    auth: &Auth,
    cookie_file: &Path,
    nonce: &mut Vec<u8>,
) -> (Answer, bool) {
    if let Auth::Strange(octets) = auth {
        return (Answer::Close(octets.clone()), false);
    }
    if *auth == Auth::Mute {
        return (Answer::Silence, false);
    }
    let (word, rest) = command.line.split_once(' ').unwrap_or((&command.line, ""));
    match word {
        "PROTOCOLINFO" => (Answer::text(&protocol_info(auth, cookie_file)), false),
        "AUTHCHALLENGE" => {
            *nonce = HEXLOWER_PERMISSIVE.decode(rest.rsplit(' ').next().unwrap().as_bytes()).unwrap();
            let mut hash = proof(b"Tor safe cookie authentication server-to-controller hash", nonce);
            hash[0] ^= u8::from(*auth == Auth::Impostor);
            let (hash, server) = (HEXUPPER.encode(&hash), HEXUPPER.encode(&SERVER_NONCE));
            (Answer::text(&format!("250 AUTHCHALLENGE SERVERHASH={hash} SERVERNONCE={server}\n")), false)
        }
        "AUTHENTICATE" => {
            let given = HEXLOWER_PERMISSIVE.decode(rest.as_bytes()).unwrap_or_default();
            let wanted = match auth {
                Auth::SafeCookie => proof(b"Tor safe cookie authentication controller-to-server hash", nonce),
                Auth::Password(password) => password.clone(),
                Auth::Null => Vec::new(),
                Auth::PlainCookie => COOKIE.to_vec(),
                Auth::Impostor | Auth::Strange(_) | Auth::Mute => return (Answer::ok(), true),
            };
            if given == wanted {
                return (Answer::ok(), true);
            }
            let refusal =
                "515 Authentication failed: Authentication cookie did not match expected value.\r\n";
            (Answer::Close(refusal.into()), false)
        }
        _other => (Answer::Close(b"514 Authentication required.\r\n".to_vec()), false),
    }
}

/// tor's answer to `PROTOCOLINFO 1`.
fn protocol_info(auth: &Auth, cookie_file: &Path) -> String {
    let methods = match auth {
        Auth::SafeCookie | Auth::Impostor => "COOKIE,SAFECOOKIE",
        Auth::Password(_) => "HASHEDPASSWORD",
        Auth::PlainCookie => "COOKIE",
        Auth::Null | Auth::Strange(_) | Auth::Mute => "NULL",
    };
    let cookie = match auth {
        Auth::SafeCookie | Auth::Impostor | Auth::PlainCookie => {
            format!(" COOKIEFILE=\"{}\"", cookie_file.display())
        }
        Auth::Password(_) | Auth::Null | Auth::Strange(_) | Auth::Mute => String::new(),
    };
    format!("250-PROTOCOLINFO 1\n250-AUTH METHODS={methods}{cookie}\n250-VERSION Tor=\"0.4.9.11\"\n250 OK\n")
}

/// HMAC under `key` of cookie, client nonce, server nonce.
fn proof(key: &[u8], client_nonce: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(&COOKIE);
    mac.update(client_nonce);
    mac.update(&SERVER_NONCE);
    mac.finalize().into_bytes().to_vec()
}

/// The answers of a bootstrapped tor to the short questions; `None` for anything else.
pub(crate) fn usual(command: &Command) -> Option<Answer> {
    let value = |value: &str| {
        let key = command.line.split_once(' ').map_or("", |(_word, key)| key);
        Some(Answer::text(&format!("250-{key}={value}\n250 OK\n")))
    };
    match command.line.as_str() {
        "GETINFO version" => value("0.4.9.11"),
        "GETINFO status/bootstrap-phase" => value("NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY=\"Done\""),
        "GETINFO status/enough-dir-info" => value("1"),
        "GETINFO dormant" => value("0"),
        "GETINFO consensus/valid-after" => value("2026-11-22 16:00:00"),
        "GETINFO consensus/valid-until" => value("2026-11-22 19:00:00"),
        "GETCONF TestingTorNetwork" => Some(Answer::text("250 TestingTorNetwork=0\n")),
        "GETCONF DisableNetwork" => Some(Answer::text("250 DisableNetwork=0\n")),
        "SIGNAL ACTIVE" => Some(Answer::ok()),
        line if line.starts_with("SETEVENTS ") => Some(Answer::ok()),
        _other => None,
    }
}
