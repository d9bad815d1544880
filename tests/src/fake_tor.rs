//! A control port that is not tor's: the only place where the harness plays a server that lies, breaks off or floods.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::{Context, Result};
use data_encoding::{HEXLOWER_PERMISSIVE, HEXUPPER};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::files;
use crate::process::User;

/// Keys of the two SAFECOOKIE hashes.
///
/// Spec: control-spec, 3.24.
const SERVER_KEY: &[u8] = b"Tor safe cookie authentication server-to-controller hash";
/// Octets of the flood.
const FLOOD: usize = 100 << 20;

/// What the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not know the cookie, and makes its hash up.
    Impostor,
    /// It refuses the right answer, as a tor with another cookie does.
    WrongCookie,
    /// It breaks off in the middle of its first reply after authentication.
    CutReply,
    /// Its first reply after authentication has 100 MB.
    Flood,
    /// It says nothing at all.
    Silent,
}

/// What the server was sent, line by line, over all connections.
type Heard = Arc<Mutex<Vec<String>>>;

/// A listening control socket with a [`Fault`]; it ends with the program.
pub struct FakeTor {
    /// Socket and cookie are here.
    dir: PathBuf,
    /// Every line of every connection; `+++` at each new one.
    heard: Heard,
}

impl FakeTor {
    /// Listens in a directory of its own under `run`.
    pub fn start(run: &Path, fault: Fault) -> Result<Self> {
        let dir = run.join("fake");
        files::make_dir(&dir, User::Publisher, 0o755)?;
        files::write(&dir.join("cookie"), [7; 32], User::Publisher, 0o600)?;
        let listener = UnixListener::bind(dir.join("control")).context("cannot listen")?;
        files::give(&dir.join("control"), User::Publisher, 0o600)?;
        let heard = Heard::default();
        let (log, cookie) = (Arc::clone(&heard), dir.join("cookie"));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, cookie) = (Arc::clone(&log), cookie.clone());
                thread::spawn(move || drop(converse(stream, fault, &cookie, &log)));
            }
        });
        Ok(Self { dir, heard })
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("control")
    }

    /// Everything it was sent so far.
    #[must_use]
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no thread panics while it holds this").clone()
    }

    /// Number of connections so far.
    #[must_use]
    pub fn visits(&self) -> usize {
        self.heard().iter().filter(|line| *line == "+++").count()
    }
}

/// One connection.
fn converse(mut stream: UnixStream, fault: Fault, cookie: &Path, log: &Heard) -> Result<()> {
    let note = |line: &str| log.lock().expect("no thread panics while it holds this").push(line.to_owned());
    note("+++");
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        note(&line);
        if fault == Fault::Silent {
            continue;
        }
        match line.split(' ').next().unwrap_or_default() {
            "PROTOCOLINFO" => write!(
                stream,
                "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE=\"{}\"\r\n\
                 250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n",
                cookie.display()
            )?,
            "AUTHCHALLENGE" => stream.write_all(challenge(&line, fault)?.as_bytes())?,
            "AUTHENTICATE" if fault == Fault::WrongCookie => {
                stream.write_all(b"515 Authentication failed: Authentication hash did not match\r\n")?;
                return Ok(());
            }
            "AUTHENTICATE" => stream.write_all(b"250 OK\r\n")?,
            _ => return misbehave(stream, fault),
        }
    }
    Ok(())
}

/// The reply to AUTHCHALLENGE; an impostor's hash is of another cookie.
fn challenge(line: &str, fault: Fault) -> Result<String> {
    let nonce = line.split(' ').nth(2).context("no nonce")?;
    let client = HEXLOWER_PERMISSIVE.decode(nonce.as_bytes())?;
    let (cookie, server) = (if fault == Fault::Impostor { [8; 32] } else { [7; 32] }, [9; 32]);
    let mut mac = Hmac::<Sha256>::new_from_slice(SERVER_KEY)?;
    mac.update(&[&cookie[..], &client, &server].concat());
    let hash = HEXUPPER.encode(&mac.finalize().into_bytes());
    Ok(format!("250 AUTHCHALLENGE SERVERHASH={hash} SERVERNONCE={}\r\n", HEXUPPER.encode(&server)))
}

/// The first reply after authentication.
fn misbehave(mut stream: UnixStream, fault: Fault) -> Result<()> {
    if fault == Fault::Flood {
        stream.write_all(b"250+version=\r\n")?;
        let line = format!("{}\r\n", "x".repeat(998));
        for _ in 0..FLOOD / line.len() {
            stream.write_all(line.as_bytes())?;
        }
        stream.write_all(b".\r\n250 OK\r\n")?;
    } else {
        stream.write_all(b"250-version=0.4.")?;
    }
    Ok(())
}
