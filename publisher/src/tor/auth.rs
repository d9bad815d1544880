//! How we prove to tor who we are, and tor to us. The only place that holds the cookie.
//!
//! SAFECOOKIE first: the server must prove that it knows the cookie before it learns anything from us. Then the password, if
//! one is configured; then nothing, if tor asks for nothing; the bare cookie only if the configuration allows it.

use super::config::{Password, TorConfig};
use super::error::TorError;
use super::framing::{FrameFault, Whole};
use super::reply::{Reply, argument, shown};
use data_encoding::{HEXLOWER, HEXUPPER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::path::PathBuf;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

mod cookie;

/// HMAC key by which the server proves itself.
const SERVER_KEY: &[u8] = b"Tor safe cookie authentication server-to-controller hash";
/// HMAC key by which we prove ourselves.
const CLIENT_KEY: &[u8] = b"Tor safe cookie authentication controller-to-server hash";

/// tor's cookie: 32 octets, wiped when dropped.
pub(super) struct Cookie(Zeroizing<[u8; 32]>);

/// A nonce of one side.
#[derive(Clone, Copy)]
pub(super) struct Nonce([u8; 32]);

/// The SHA-256 HMAC of one side.
#[derive(Clone, Copy)]
pub(super) struct Proof([u8; 32]);

impl Proof {
    /// The HMAC under `key` of cookie, client nonce and server nonce.
    ///
    /// Spec: control-spec, 3.24 (AUTHCHALLENGE).
    fn new(key: &[u8], cookie: &Cookie, client: Nonce, server: Nonce) -> Option<Self> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        mac.update(&*cookie.0);
        mac.update(&client.0);
        mac.update(&server.0);
        Some(Self(mac.finalize().into_bytes().into()))
    }
}

/// A way to authenticate.
enum Method {
    /// Both sides prove that they know the cookie.
    SafeCookie(Cookie),
    /// The configured password.
    Password(Arc<Password>),
    /// Nothing.
    Null,
    /// The cookie itself.
    PlainCookie(Cookie),
}

/// What tor says before authentication.
#[derive(Debug, PartialEq, Eq)]
struct Offer {
    /// `METHODS`, comma separated.
    methods: String,
    /// `COOKIEFILE`.
    cookie_file: Option<PathBuf>,
}

impl Offer {
    /// Reads the answer to `PROTOCOLINFO 1`; unknown lines are ignored.
    ///
    /// Spec: control-spec, 3.21.
    fn parse(reply: &Reply) -> Option<Self> {
        let line = reply.lines.iter().find_map(|line| line.strip_prefix("AUTH "))?;
        let methods = argument(line, "METHODS")?.into_owned();
        let cookie_file = argument(line, "COOKIEFILE").map(|path| PathBuf::from(path.into_owned()));
        Some(Self { methods, cookie_file })
    }

    /// Whether a method is in the list.
    fn has(&self, method: &str) -> bool {
        self.methods.split(',').any(|offered| offered == method)
    }

    /// The cookie, if `method` is offered together with a file; an error if the file cannot be used.
    fn cookie(&self, method: &str) -> Option<Result<Cookie, TorError>> {
        let path = self.cookie_file.as_ref().filter(|_path| self.has(method))?;
        Some(cookie::read(path))
    }

    /// Chooses the best method that is offered and allowed. A cookie that cannot be read leaves the others.
    fn choose(&self, config: &TorConfig) -> Result<Method, TorError> {
        let mut cookie_error = None;
        match self.cookie("SAFECOOKIE") {
            Some(Ok(cookie)) => return Ok(Method::SafeCookie(cookie)),
            Some(Err(error)) => cookie_error = Some(error),
            None => {}
        }
        if let Some(password) = config.password.as_ref().filter(|_password| self.has("HASHEDPASSWORD")) {
            return Ok(Method::Password(Arc::clone(password)));
        }
        if self.has("NULL") {
            return Ok(Method::Null);
        }
        if config.allow_plain_cookie
            && !self.has("SAFECOOKIE")
            && let Some(cookie) = self.cookie("COOKIE")
        {
            return cookie.map(Method::PlainCookie);
        }
        let no_method = || TorError::NoMethod { at: config.control.clone(), offered: shown(&self.methods) };
        Err(cookie_error.unwrap_or_else(no_method))
    }
}

/// Authenticates a fresh connection; the caller gives the deadline.
pub(super) async fn authenticate(conn: &mut Whole, config: &TorConfig) -> Result<(), TorError> {
    let info = ask(conn, config, b"PROTOCOLINFO 1\r\n").await?;
    let offer = Offer::parse(&info).filter(|_offer| info.code == 250);
    let offer = offer.ok_or_else(|| not_tor(config, format!("{} {}", info.code, shown(info.first()))))?;
    match offer.choose(config)? {
        Method::SafeCookie(cookie) => safe_cookie(conn, config, &cookie).await,
        Method::Password(password) => {
            let secret = password.with(hex_command);
            finish(conn, config, "password", &secret).await
        }
        Method::Null => finish(conn, config, "NULL", b"AUTHENTICATE\r\n").await,
        Method::PlainCookie(cookie) => finish(conn, config, "cookie", &hex_command(&*cookie.0)).await,
    }
}

/// Both sides prove that they know the cookie, the server first.
async fn safe_cookie(conn: &mut Whole, config: &TorConfig, cookie: &Cookie) -> Result<(), TorError> {
    let mut client = Nonce([0; 32]);
    getrandom::fill(&mut client.0).map_err(|error| not_tor(config, format!("no random octets: {error}")))?;
    let challenge = format!("AUTHCHALLENGE SAFECOOKIE {}\r\n", HEXLOWER.encode(&client.0));
    let reply = ask(conn, config, challenge.as_bytes()).await?;
    if reply.code != 250 {
        let text = format!("{} {}", reply.code, shown(reply.first()));
        return Err(TorError::AuthRejected { method: "SAFECOOKIE", text });
    }
    let proof = answer(cookie, client, reply.first(), config)?;
    finish(conn, config, "SAFECOOKIE", &hex_command(&proof.0)).await
}

/// Checks the server's proof, in constant time; only then makes ours.
fn answer(cookie: &Cookie, client: Nonce, line: &str, config: &TorConfig) -> Result<Proof, TorError> {
    let field = |key| -> Option<[u8; 32]> {
        HEXUPPER_PERMISSIVE.decode(argument(line, key)?.as_bytes()).ok()?.try_into().ok()
    };
    let fields = field("SERVERHASH").zip(field("SERVERNONCE"));
    let malformed = || not_tor(config, format!("its answer to AUTHCHALLENGE is {}", shown(line)));
    let (hash, nonce) = fields.ok_or_else(malformed)?;
    let impostor = || TorError::Impostor { at: config.control.clone() };
    let expected = Proof::new(SERVER_KEY, cookie, client, Nonce(nonce)).ok_or_else(impostor)?;
    if !bool::from(expected.0.ct_eq(&hash)) {
        return Err(impostor());
    }
    Proof::new(CLIENT_KEY, cookie, client, Nonce(nonce)).ok_or_else(impostor)
}

/// `AUTHENTICATE` with octets in hex, which needs no escapes.
fn hex_command(octets: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut hex = HEXLOWER.encode(octets);
    let mut command = Vec::with_capacity(hex.len().saturating_add(16));
    command.extend_from_slice(b"AUTHENTICATE ");
    command.extend_from_slice(hex.as_bytes());
    command.extend_from_slice(b"\r\n");
    hex.zeroize();
    Zeroizing::new(command)
}

/// Sends the last command and wants 250.
async fn finish(
    conn: &mut Whole,
    config: &TorConfig,
    method: &'static str,
    command: &[u8],
) -> Result<(), TorError> {
    let reply = ask(conn, config, command).await?;
    if reply.code == 250 {
        return Ok(());
    }
    Err(TorError::AuthRejected { method, text: format!("{} {}", reply.code, shown(reply.first())) })
}

/// One command and its reply on a connection that is still in one hand.
async fn ask(conn: &mut Whole, config: &TorConfig, command: &[u8]) -> Result<Reply, TorError> {
    let fault = |fault: FrameFault| not_tor(config, fault.to_string());
    conn.send(command).await.map_err(fault)?;
    conn.receive().await.map_err(fault)
}

/// The error for a server that does not speak the protocol.
fn not_tor(config: &TorConfig, what: String) -> TorError {
    TorError::NotTor { at: config.control.clone(), what }
}

#[cfg(test)]
mod tests;
