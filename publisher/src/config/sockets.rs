//! Where a running publisher is reached: all that the commands about it need of a configuration, however wrong the rest of that is.

use super::{Config, ConfigError};
use onionkeep_common::config::loose_text;
use std::path::{Path, PathBuf};

/// The sockets of a running publisher.
#[derive(Debug)]
pub struct Sockets {
    /// The status socket.
    pub status: PathBuf,
    /// The control socket, if there is one.
    pub control: Option<PathBuf>,
    /// What is wrong with the configuration: a restart would fail.
    pub problem: Option<ConfigError>,
}

impl Sockets {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`], or [`ConfigError::Problems`] if the file is so wrong that it names no status socket.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = Config::text(path)?;
        let problem = match Config::parse(&text) {
            Ok(Config { status_socket, control_socket, .. }) => {
                return Ok(Self { status: status_socket, control: control_socket, problem: None });
            }
            Err(problems) => ConfigError::Problems { path: path.to_path_buf(), problems },
        };
        let socket = |key| loose_text(&text, key).map(PathBuf::from).filter(|path| path.is_absolute());
        match socket("status_socket") {
            Some(status) => Ok(Self { status, control: socket("control_socket"), problem: Some(problem) }),
            None => Err(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::SAMPLE;

    fn load(text: &str) -> Result<Sockets, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Sockets::load(file.path())
    }

    #[test]
    fn sockets_are_found_in_a_configuration_that_is_wrong() {
        let good = format!("control_socket = \"/run/c\"\n{SAMPLE}");
        for (what, text, wrong) in [
            ("a good one", good.clone(), false),
            ("an unknown key", good.replace("probe_port = 80", "probe_prot = 80"), true),
            ("a weight", format!("{good}weight = 0\n"), true),
            ("a quote that is wanting", good.replace("name = \"b2\"", "name = \"b2"), true),
            ("no service", good.split("[[service]]").next().unwrap().to_owned(), true),
        ] {
            let found = load(&text).unwrap();
            assert_eq!(found.status, Path::new("/run/onionkeep-publisher/status.sock"), "{what}");
            assert_eq!(found.control.as_deref(), Some(Path::new("/run/c")), "{what}");
            assert_eq!(found.problem.is_some(), wrong, "{what}: {:?}", found.problem);
        }
        assert_eq!(load(&format!("nonsense = 1\n{SAMPLE}")).unwrap().control, None);
    }

    #[test]
    fn what_names_no_socket_is_refused_with_all_that_is_wrong() {
        for text in [
            String::new(),
            "\0\u{feff}[".to_owned(),
            SAMPLE.replace("status_socket = ", "status_sock = "),
            SAMPLE.replace("\"/run/onionkeep-publisher/", "\"run/"),
            SAMPLE.replace("\"/run/onionkeep-publisher/status.sock\"", "7"),
        ] {
            assert!(matches!(load(&text), Err(ConfigError::Problems { .. })), "{text}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [SAMPLE.as_bytes(), b"name = \"\xff\"\n"].concat()).unwrap();
        let error = Sockets::load(file.path()).unwrap_err().to_string();
        let last = SAMPLE.lines().count() + 1;
        assert!(error.ends_with(&format!("line {last}: this is not UTF-8 text")), "{error}");
        assert!(matches!(Sockets::load(Path::new("/nonexistent/p")), Err(ConfigError::Unreadable { .. })));
    }
}
