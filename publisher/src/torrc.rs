//! The torrc lines and the `ob_config` file that belong to a configuration; the only place that writes them.

use crate::config::{Config, ServiceConfig};
use crate::probe::SocksAddr;
use crate::tor::ControlAddr;
use onionkeep_common::OnionAddress;
use std::fmt::{self, Display};
use std::path::Path;

/// The folder of the backend's onion service in the snippets.
const BACKEND_DIR: &str = "/var/lib/tor/onionkeep_backend";

/// The torrc of the tor that the publisher talks to.
pub struct Frontend<'a>(pub &'a Config);

impl Display for Frontend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tor = &self.0.tor;
        writeln!(f, "# torrc of the publisher's tor. It runs no onion service of its own.")?;
        match &tor.control {
            ControlAddr::Unix(path) => {
                writeln!(f, "ControlSocket {}", unix(path))?;
            }
            ControlAddr::Tcp(address) => writeln!(f, "ControlPort {address}")?,
        }
        if tor.password.is_some() {
            writeln!(
                f,
                "# The hash of the password in publisher.toml's file: `tor --hash-password -` prints it."
            )?;
            writeln!(f, "HashedControlPassword 16:...")?;
        } else {
            writeln!(f, "CookieAuthentication 1\nCookieAuthFileGroupReadable 1")?;
            // Without it tor lets nobody else read the cookie. For /run/tor/control it is Debian's own.
            if let ControlAddr::Unix(path) = &tor.control {
                writeln!(f, "CookieAuthFile {}", quoted(&format!("{}.authcookie", path.display())))?;
            }
        }
        match &tor.socks {
            Some(SocksAddr::Unix(path)) => writeln!(f, "SocksPort {}", unix(path))?,
            Some(SocksAddr::Tcp(address)) => writeln!(f, "SocksPort {address}")?,
            None => writeln!(f, "SocksPort 0")?,
        }
        writeln!(f, "# An idle tor would stop following the network.\nDormantCanceledByStartup 1")
    }
}

/// A path as torrc has it.
fn quoted(path: &str) -> String {
    if path.contains(|symbol: char| symbol.is_whitespace() || "\"#\\".contains(symbol)) {
        return format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""));
    }
    path.to_owned()
}

/// A socket that our group may use. Debian's folder for it, `/run/tor`, may be entered by all, which tor takes only with the last word.
///
/// Spec: C tor, `port_cfg_line_extract_addrport`, `check_location_for_unix_socket`.
fn unix(path: &Path) -> String {
    format!("unix:{} GroupWritable RelaxDirModeCheck", quoted(&path.display().to_string()))
}

/// The torrc and `ob_config` of a backend of these frontends, before anything else of it is known.
pub struct BackendOf<'a>(pub &'a [OnionAddress]);

impl Display for BackendOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", BackendLines { names: "each backend", frontends: self.0 })
    }
}

/// The torrc and `ob_config` of the backends.
pub struct Backend<'a>(pub &'a Config);

impl Display for Backend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (names, frontends) in groups(&self.0.services) {
            write!(f, "{}", BackendLines { names: &names.join(", "), frontends: &frontends })?;
        }
        Ok(())
    }
}

/// The torrc and `ob_config` of backends that need the same, in the order in which tor takes them: without the file it refuses the last line.
///
/// tor works out the frontend's keys when it makes descriptors, and keeps those over a reload; so one that made them before must be restarted.
///
/// Spec: C tor, `hs_ob_refresh_keys`, `move_descriptors`.
pub(crate) struct BackendLines<'a> {
    /// Who they are.
    pub(crate) names: &'a str,
    /// Whose backends they are.
    pub(crate) frontends: &'a [OnionAddress],
}

impl Display for BackendLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names;
        writeln!(f, "# 1. {names}: the folder, of tor's user:")?;
        writeln!(f, "#    install -d -o debian-tor -g debian-tor -m 0700 {BACKEND_DIR}")?;
        writeln!(
            f,
            "# 2. {names}: the file {BACKEND_DIR}/ob_config, of tor's user, mode 0600, with exactly:"
        )?;
        for frontend in self.frontends {
            writeln!(f, "MasterOnionAddress {frontend}")?;
        }
        writeln!(
            f,
            "# 3. torrc of {names}: these lines, the port line as your application needs it. Then reload tor, or"
        )?;
        writeln!(
            f,
            "#    restart it if it had this folder before: after a reload alone it would turn clients away."
        )?;
        writeln!(f, "HiddenServiceDir {BACKEND_DIR}\nHiddenServiceVersion 3")?;
        writeln!(f, "HiddenServicePort 80 127.0.0.1:80\nHiddenServiceOnionBalanceInstance 1")?;
        writeln!(f, "# 4. The backend's own address, for publisher.toml: cat {BACKEND_DIR}/hostname")
    }
}

/// The backends that need the same `ob_config`, with the frontends in it.
///
/// Spec: C tor, `ob_option_parse`: one line for each frontend, with its `.onion`.
fn groups(services: &[ServiceConfig]) -> Vec<(Vec<&str>, Vec<OnionAddress>)> {
    let mut backends: Vec<(&str, OnionAddress, Vec<OnionAddress>)> = Vec::new();
    for service in services {
        for backend in &service.backends {
            match backends.iter_mut().find(|(_name, address, _frontends)| *address == backend.address) {
                Some((_name, _address, frontends)) => frontends.push(service.address),
                None => backends.push((&backend.name, backend.address, vec![service.address])),
            }
        }
    }
    let mut groups: Vec<(Vec<&str>, Vec<OnionAddress>)> = Vec::new();
    for (name, _address, frontends) in backends {
        match groups.iter_mut().find(|(_names, other)| *other == frontends) {
            Some((names, _frontends)) => names.push(name),
            None => groups.push((vec![name], frontends)),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{A, B, C, D, SAMPLE};

    fn config(text: &str) -> Config {
        Config::parse(text).unwrap()
    }

    #[test]
    fn frontend_lines_follow_the_configuration() {
        let text = Frontend(&config(SAMPLE)).to_string();
        for line in [
            "ControlSocket unix:/run/tor/control GroupWritable RelaxDirModeCheck",
            "CookieAuthentication 1",
            "CookieAuthFile /run/tor/control.authcookie",
            "SocksPort 127.0.0.1:9050",
            "DormantCanceledByStartup 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        let tcp = SAMPLE
            .replace("unix:/run/tor/control\"", "127.0.0.1:9051\"\npassword = \"file:/etc/p\"")
            .replace("socks = \"127.0.0.1:9050\"", "")
            .replace("probe_port = 80", "");
        let text = Frontend(&config(&tcp)).to_string();
        for line in ["ControlPort 127.0.0.1:9051", "HashedControlPassword 16:...", "SocksPort 0"] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("CookieAuthentication"));
    }

    #[test]
    fn every_backend_is_named_and_every_ob_config_has_a_frontend() {
        let text = Backend(&config(SAMPLE)).to_string();
        assert!(text.contains("# 3. torrc of b1, b2:"), "{text}");
        let masters: Vec<_> = text.lines().filter(|line| line.starts_with("MasterOnionAddress")).collect();
        assert_eq!(masters, [format!("MasterOnionAddress {A}")]);
    }

    #[test]
    fn the_file_comes_before_the_line_that_needs_it() {
        let text = BackendOf(&[A.parse().unwrap()]).to_string();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!((lines.len(), lines[0]), (5, format!("MasterOnionAddress {A}").as_str()), "{text}");
        assert_eq!(lines[4], "HiddenServiceOnionBalanceInstance 1");
    }

    #[test]
    fn a_backend_of_two_frontends_lists_both() {
        let second = format!(
            "[[service]]\naddress = \"{D}\"\nsigner = \"/s\"\n[[service.backend]]\nname = \"c\"\naddress = \"{C}\"\n"
        );
        let groups = Backend(&config(&format!("{SAMPLE}{second}"))).to_string();
        let both = format!("MasterOnionAddress {A}\nMasterOnionAddress {D}\n");
        assert!(groups.contains(&both), "{groups}");
        assert_eq!(groups.matches("HiddenServiceOnionBalanceInstance 1").count(), 2);
        assert!(!groups.contains(B), "a backend's address is not printed");
    }
}
