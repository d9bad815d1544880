//! Where metrics are given out: a Unix socket, or an address that only this machine reaches.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// `unix:/path` or a loopback address with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsAddr {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port of this machine.
    Tcp(SocketAddr),
}

/// A text that is no such place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsAddrError {
    /// It is of another form.
    #[error("{0:?} is neither unix:/absolute/path nor a loopback address with a port, like 127.0.0.1:9180")]
    Form(String),
    /// Others could reach it.
    #[error(
        "{0} can be reached from outside this machine, and metrics tell how the service is built: use unix:/absolute/path \
         or a loopback address like 127.0.0.1:{port}, and carry them on by a proxy that asks who is there", port = .0.port()
    )]
    Outside(SocketAddr),
    /// The port is the system's choice, so that nobody would find it.
    #[error("port 0 stands for any: name the port, like 127.0.0.1:9180")]
    AnyPort,
}

impl FromStr for MetricsAddr {
    type Err = MetricsAddrError;

    fn from_str(text: &str) -> Result<Self, MetricsAddrError> {
        let wrong = || MetricsAddrError::Form(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(PathBuf::from(path))) } else { Err(wrong()) };
        }
        let address: SocketAddr = text.parse().map_err(|_not_an_address| wrong())?;
        if !address.ip().is_loopback() {
            Err(MetricsAddrError::Outside(address))
        } else if address.port() == 0 {
            Err(MetricsAddrError::AnyPort)
        } else {
            Ok(Self::Tcp(address))
        }
    }
}

impl fmt::Display for MetricsAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_a_place() {
        for good in ["unix:/run/x/metrics.sock", "127.0.0.1:9180", "127.5.0.1:1", "[::1]:9180"] {
            assert_eq!(good.parse::<MetricsAddr>().unwrap().to_string(), good);
        }
        for outside in ["0.0.0.0:9180", "192.0.2.1:9180", "[::]:9180", "[::ffff:127.0.0.1]:80"] {
            let error = outside.parse::<MetricsAddr>().unwrap_err();
            assert!(matches!(error, MetricsAddrError::Outside(_)), "{outside}");
            assert!(error.to_string().contains("127.0.0.1:") && error.to_string().contains("unix:/"));
        }
        for form in ["", "unix:relative", "localhost:9180", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(matches!(form.parse::<MetricsAddr>(), Err(MetricsAddrError::Form(_))), "{form}");
        }
        assert_eq!("127.0.0.1:0".parse::<MetricsAddr>(), Err(MetricsAddrError::AnyPort));
    }
}
