//! Where tor's control port is and how we may authenticate there.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Where tor listens for controllers: `unix:/path` or `ADDRESS:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlAddr {
    /// A `ControlSocket`.
    Unix(PathBuf),
    /// A `ControlPort`.
    Tcp(SocketAddr),
}

/// A text that is no place of a control port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlAddrError {
    /// It is of another form.
    #[error("{0:?} is neither unix:/absolute/path nor a loopback address with a port, like 127.0.0.1:9051")]
    Form(String),
    /// It is another machine's, or any.
    #[error(
        "{0} is not an address of this machine alone: whoever is on the way could command that tor; the publisher's tor runs beside \
         it, at unix:/absolute/path or a loopback address like 127.0.0.1:{port}", port = .0.port()
    )]
    Elsewhere(SocketAddr),
    /// Nothing can be reached there.
    #[error("port 0 is no port: name tor's ControlPort, like 127.0.0.1:9051")]
    NoPort,
}

impl FromStr for ControlAddr {
    type Err = ControlAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ControlAddrError::Form(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(PathBuf::from(path))) } else { Err(wrong()) };
        }
        let address: SocketAddr = text.parse().map_err(|_not_an_address| wrong())?;
        if !address.ip().is_loopback() {
            Err(ControlAddrError::Elsewhere(address))
        } else if address.port() == 0 {
            Err(ControlAddrError::NoPort)
        } else {
            Ok(Self::Tcp(address))
        }
    }
}

impl fmt::Display for ControlAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// The control port's password; wiped when dropped.
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes the password's octets, without the line end of the file that it stood in.
    #[must_use]
    pub const fn new(octets: Zeroizing<Vec<u8>>) -> Self {
        Self(octets)
    }

    /// Lets `look` see the octets.
    pub(super) fn with<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&self.0)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// How to reach tor.
#[derive(Clone, Debug)]
pub struct TorConfig {
    /// Where.
    pub control: ControlAddr,
    /// The password, where one is configured.
    pub password: Option<std::sync::Arc<Password>>,
    /// Whether the cookie itself may be sent to a server that offers nothing better.
    pub allow_plain_cookie: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_written() {
        for text in ["unix:/run/tor/control", "127.0.0.1:9051", "[::1]:9051"] {
            assert_eq!(text.parse::<ControlAddr>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "unix:", "unix:relative", "localhost:9051", "127.0.0.1", "/run/tor/control"] {
            assert!(text.parse::<ControlAddr>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_tor_of_this_machine_is_commanded_and_at_a_port() {
        for text in
            ["8.8.8.8:9051", "192.168.1.2:9051", "0.0.0.0:9051", "[::]:9051", "[::ffff:127.0.0.1]:9051"]
        {
            let error = text.parse::<ControlAddr>().unwrap_err();
            assert!(matches!(error, ControlAddrError::Elsewhere(_)), "{text}");
            assert!(error.to_string().contains("127.0.0.1:9051"), "{error}");
        }
        for text in ["127.0.0.1:0", "[::1]:0"] {
            assert_eq!(text.parse::<ControlAddr>(), Err(ControlAddrError::NoPort));
        }
    }

    #[test]
    fn password_is_not_shown() {
        let config = TorConfig {
            control: "127.0.0.1:1".parse().unwrap(),
            password: Some(std::sync::Arc::new(Password::new(Zeroizing::new(b"hidden".to_vec())))),
            allow_plain_cookie: false,
        };
        assert!(!format!("{config:?}").contains("hidden"));
    }
}
